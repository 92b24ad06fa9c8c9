"""Lines of a file: as many as it has, whatever the texts hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffusionbert.commands.reading import as_line, lines_of
from unit.program import Program


def test_a_line_ends_where_a_files_does(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes("one\u2028still one\n\r\n\x0cthree\r\nfour".encode())
    assert lines_of("lines", path) == ["one\u2028still one", "", "\x0cthree", "four"]
    path.write_bytes(b"\n")
    assert lines_of("lines", path) == [""]
    path.write_bytes(b"")
    assert lines_of("lines", path) == []


@pytest.mark.parametrize("command", [["infill"], ["score"]])
def test_a_folder_is_no_file_of_texts(
    program: Program, folders: dict[str, Path], tmp_path: Path, command: list[str]
) -> None:
    code, out, err = program(*command, "--file", tmp_path, "--arm", folders["linear"])
    assert (code, out) == (1, "")
    assert err == f"error: {tmp_path}: found a folder; expected a file with a text a line\n"


def test_what_else_the_system_says_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(ValueError, match=r"^name: Not a directory; expected a file with a text a line$"):
        lines_of("name", tmp_path / "file" / "below")


def test_a_text_is_one_line() -> None:
    assert as_line("one\r\ntwo\n\n three") == "one two  three"
    assert as_line(" as it is ") == " as it is "
