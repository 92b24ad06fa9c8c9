"""Lines of a file or of stdin, and text as one line."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path


def lines_of(name: str, file: str | Path | None) -> list[str]:
    """The lines of a UTF-8 file, or of stdin for None; `name` is what errors call it.

    A line ends where a file's does, and not at the other characters that may separate lines, which a text may hold.
    Raises ValueError when it cannot be read or is not UTF-8.
    """
    try:
        read = sys.stdin.buffer.read() if file is None else Path(file).read_bytes()
        text = read.decode("utf-8")
    except FileNotFoundError:
        raise ValueError(f"{name}: no such file; expected one with a text a line") from None
    except IsADirectoryError:
        raise ValueError(f"{name}: found a folder; expected a file with a text a line") from None
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror}; expected a file with a text a line") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: not UTF-8 at byte {error.start}; expected UTF-8 text") from None
    return [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]


def as_line(text: str) -> str:
    """A text in one line: what ends a line becomes a space, so that lines and texts stay as many."""
    return re.sub(r"[\r\n]+", " ", text)
