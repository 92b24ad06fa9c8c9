"""No room for a shard, a checkpoint, a model or a report: is it one line, and is nothing half-written or lost?"""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.project import LONGEST, Project

from .conftest import Ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


def larger_shards(data: Any) -> None:
    """More text under the same tokenizer's size, so that the limit lies between the two."""
    data["corpus"] |= {"max_sentences": 3000}
    data["corpus"]["grammar"] |= {"num_documents": 300}


def no_checkpoint(data: Any) -> None:
    data["train"] |= {"checkpoint_every": 1000}


@dataclass(frozen=True)
class Case:
    what: str
    stage: str
    size: int  # bytes that a file may have
    named: tuple[str, ...]  # one of these the line names
    change: Callable[[Any], None] | None = None


CASES = [
    Case("a shard", "tokenize@bert", 40_000, (".arrow", "results/engines/tokenize/bert/shards"), larger_shards),
    Case("a checkpoint", "train@linear", 20_000, (".checkpoints/",)),
    Case("a model", "train@linear", 20_000, ("results/engines/train/linear/model",), no_checkpoint),
    Case("the report", "report", 20_000, ("results/engines/report.html",)),
]


@pytest.mark.parametrize("old", [True, False], ids=["over old outputs", "over nothing"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_full_disk_loses_nothing(finished: Project, ledger: Ledger, case: Case, old: bool) -> None:
    if case.change is not None:
        finished.edit("engines", case.change)
        finished.dvc(case.stage)
    command = command_of(finished, case.stage)
    before = finished.outputs()
    if not old:
        for name in outs_of(finished, case.stage):
            finished.run("rm", "-rf", name)
    there = finished.outputs()
    full = limited(finished, command, case.size)
    errors = [line for line in full.stderr.splitlines() if "rror" in line]
    assert full.returncode == 1, full.stderr
    assert len(errors) == 1, full.stderr
    assert errors[0].startswith(f"error: {case.stage}: ")
    assert any(name in errors[0] for name in case.named)
    assert finished.outputs() == there, "an output changed"
    assert not list(finished.folder.rglob("*.part"))
    assert limited(finished, command, None).returncode == 0
    assert finished.outputs() == before
    if not old:
        ledger.add(f"no room for {case.what}", 2, f"`{told(errors[0])}`; the rerun with room is identical")


def told(line: str) -> str:
    """Without what is the machine's own."""
    return " ".join(line.split())


def entry(project: Project, stage: str) -> dict[str, Any]:
    text = (project.folder / "dvc.lock").read_text(encoding="utf-8")
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(text)["stages"][stage]
    return found


def command_of(project: Project, stage: str) -> list[str]:
    return [sys.executable, *shlex.split(entry(project, stage)["cmd"])[1:]]


def outs_of(project: Project, stage: str) -> list[str]:
    return [out["path"] for out in entry(project, stage)["outs"]]


def limited(project: Project, command: list[str], size: int | None) -> subprocess.CompletedProcess[str]:
    """The stage by hand, in a process of its own, where no file may grow beyond `size` bytes."""

    def limit() -> None:
        if size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    environment = project.environment | {"DIFFUSIONBERT_EXECUTION_LOG": os.devnull}
    folder: Path = project.folder
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
        preexec_fn=limit,
    )
