"""Two pipelines started in one clone: does one wait or stop with a clear line, and is the end the same?"""

from __future__ import annotations

import random
import subprocess
import time

import pytest

from pipeline.project import LONGEST, Project, together

from .artefacts import Artefacts
from .conftest import Ledger, Undisturbed
from .engines import COMMANDS, start

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

SEEN: dict[str, str] = {}
CLEAR = (  # what the one that stops may say
    "is at work here",
    "is at work in this folder",
    "Unable to acquire lock",
    "is busy, it is being blocked by",
    "Directory cannot be locked",
)


@pytest.mark.parametrize("second", list(COMMANDS))
@pytest.mark.parametrize("first", list(COMMANDS))
def test_one_of_two_waits_or_stops(
    clone: Project, undisturbed: Undisturbed, ledger: Ledger, first: str, second: str
) -> None:
    wait = random.Random(f"{ledger.seed} {first} {second}").uniform(0, 8)
    one = start(clone, first)
    time.sleep(wait)
    two = start(clone, second)
    words = together(lambda: ended(one), lambda: ended(two))
    statuses = (one.returncode, two.returncode)
    for status, said in zip(statuses, words, strict=True):
        assert "Traceback" not in said, said
        assert status == 0 or any(clear in said for clear in CLEAR), said
    clone.dvc()
    executed = clone.executed()
    assert executed.keys() == undisturbed.artefacts.lock.keys()
    assert Artefacts.of(clone).differences(undisturbed.artefacts) == []
    again = sum(executed.values()) - len(executed)
    outcome = ", ".join("ended well" if status == 0 else "stopped with a clear line" for status in statuses)
    SEEN[f"{first}, and {second} {wait:.1f} s later"] = f"{outcome}; {again} stages began twice"
    print(SEEN, flush=True)
    if len(SEEN) == len(COMMANDS) ** 2:
        told = "; ".join(f"{pair}: {seen}" for pair, seen in SEEN.items())
        ledger.add("two pipelines at once in one clone", len(SEEN), f"{told}. Artefacts identical after a rerun")


def ended(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=LONGEST)[0]
