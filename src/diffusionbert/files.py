"""Files that are whole or absent: everything is written aside and renamed into place."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)  # a write, unlike an open, names no file when it fails


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path beside `path`, to be written as a file or made as a folder; renames it to `path` at the end.

    When the body raises, what it wrote is removed and whatever `path` held stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(aside, path)
    except BaseException as error:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            what = f"{path} could not be written ({error.strerror}); what it held is kept. Make room and run again"
            raise OSError(error.errno, what) from None
        raise


def write_text(path: Path, text: str) -> None:
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Sorted keys and a fixed layout, so that equal values are equal bytes; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises ValueError naming the file when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from None


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
