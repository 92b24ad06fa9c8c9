"""docs/use.md: its commands are ones, with an answer each, and the writer puts answers where they belong."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from diffusionbert.__main__ import parser
from diffusionbert.commands.document import BLOCK, PROGRAM, answer_of, commands, main, rewritten

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/use.md").read_text(encoding="utf-8")


def test_every_command_of_the_document_is_one() -> None:
    found = commands(DOCUMENT)
    assert {command.split()[3] for command in found} == {"infill", "generate", "score"}
    for command in found:
        assert command.startswith(PROGRAM)
        parser().parse_args(shlex.split(command.removeprefix(PROGRAM)))


def test_no_example_depends_on_the_profile_that_ran_last() -> None:
    """An arm's name, or none, would be looked up in params.yaml, which is that profile's."""
    for command in commands(DOCUMENT):
        arm = parser().parse_args(shlex.split(command.removeprefix(PROGRAM))).arm
        assert arm is not None
        assert arm.startswith("results/"), command


def test_every_command_has_an_answer() -> None:
    for block in BLOCK.finditer(DOCUMENT):
        lines = block[1].splitlines()
        for place, line in enumerate(lines):
            if line.startswith("$ "):
                assert not [*lines, "$ "][place + 1].startswith("$ "), line


def test_answers_are_replaced_and_all_else_stays() -> None:
    text = "a\n```console\n$ one\nold\nold\n$ two\n```\nb\n```\n$ three\n```\n"
    told = "a\n```console\n$ one\nONE\n$ two\nTWO\n```\nb\n```\n$ three\n```\n"
    assert rewritten(text, lambda command: f"{command.upper()}\n") == told
    assert rewritten(told, lambda command: f"{command.upper()}\n") == told


def test_the_writer_runs_the_commands(folders: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "use.md"
    command = f"python -m diffusionbert generate --length 4 --arm {folders['left']} --watch"
    path.write_text(f"# Use\n\n```console\n$ {command}\n```\n", encoding="utf-8")
    assert main(["--document", str(path)]) == 0
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.count("▁") for line in lines[4:9]] == [4, 3, 2, 1, 0]
    assert lines[8].endswith(lines[9])
    assert lines[10] == "```"


def test_a_block_with_a_model_that_is_not_there_stays_and_the_others_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    needs = "```console\n$ one --arm results/pairs/train/linear/model\nold\n```\n"
    other = "```console\n$ two\nold\n```\n"
    assert rewritten(needs + other, lambda command: "new\n") == needs + other.replace("old", "new")
    assert "results/pairs/train/linear/model: no such model" in capsys.readouterr().err
    (tmp_path / "results/pairs/train/linear/model").mkdir(parents=True)
    assert "old" not in rewritten(needs + other, lambda command: "new\n")


def test_a_command_that_fails_leaves_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "use.md"
    text = "```console\n$ python -m diffusionbert generate --arm nowhere/at/all\nold\n```\n"
    path.write_text(text)
    assert main(["--document", str(path)]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert path.read_text() == text
    with pytest.raises(ValueError, match="expected a command that starts with"):
        answer_of("rm -r results")
