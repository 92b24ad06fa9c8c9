"""Numbers of the command line: each in its range, in every command that takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.program import Program

COMMANDS = {
    "infill": ["infill", "the [MASK] man ."],
    "generate": ["generate", "--length", 4],
    "score": ["score", "the old man .", "--strata", 2],
}
HUGE = "99999999999999999999"


def refused(program: Program, *arguments: object) -> str:
    code, out, err = program(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    return err.strip().removeprefix("error: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_seed_is_one_that_the_generator_takes(program: Program, folders: dict[str, Path], command: str) -> None:
    arguments = [*COMMANDS[command], "--arm", folders["linear"], "--seed"]
    assert refused(program, *arguments, HUGE) == f"--seed: found {HUGE}; expected at most {2**63 - 1}"
    assert refused(program, *arguments, 2**63) == f"--seed: found {2**63}; expected at most {2**63 - 1}"
    assert refused(program, *arguments, -1) == "--seed: found -1; expected at least 0"
    assert program(*arguments, 2**63 - 1)[0] == 0
    assert program(*arguments, 0)[0] == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_no_count_is_more_than_a_machine_takes(program: Program, folders: dict[str, Path], command: str) -> None:
    arguments = [*COMMANDS[command], "--arm", folders["linear"]]
    names = {"score": ["--strata", "--steps"], "generate": ["--length", "-n", "--top-k"], "infill": ["-n", "--steps"]}
    for name in (*names[command], "--threads"):
        assert refused(program, *arguments, name, HUGE) == f"{name}: found {HUGE}; expected at most {2**31 - 1}"
        assert refused(program, *arguments, name, 0) == f"{name}: found 0; expected at least 1"
    if command == "generate":
        assert refused(program, *arguments, "--length", 2**31 - 1) == (
            f"--length: {2**31 - 1} tokens; expected at most 62, which is what this arm holds"
        )


@pytest.mark.parametrize("command", ["infill", "generate"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1"])
def test_a_temperature_is_finite(program: Program, folders: dict[str, Path], command: str, value: str) -> None:
    arguments = [*COMMANDS[command], "--arm", folders["linear"], f"--temperature={value}"]
    assert refused(program, *arguments) == f"temperature is {float(value)}; expected a finite number > 0"
