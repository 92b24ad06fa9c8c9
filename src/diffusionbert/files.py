"""Files that are whole or absent: everything is written aside and renamed into place."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SUMS = "sums.json"  # beside the files of a folder: their sha256
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_SAID = re.compile(r"\(os error (\d+)\)")  # how libraries written in Rust word what is no OSError to Python


class NoRoomError(OSError):
    """The disk, a quota or a limit has no room for a file; what it held is kept."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: could not be written ({reason}); what it held is kept. Make room and run again")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type[NoRoomError], tuple[Path, str]]:
        """What it was made of: a worker process sends it to the one that started it."""
        return type(self), (self.path, self.reason)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path beside `path`, to be written as a file or made as a folder; renames it to `path` at the end.

    When the body raises, what it wrote is removed and whatever `path` held stays as it was. What a killed process
    left beside `path` is removed first. Raises NoRoomError naming `path` when the disk is full.
    """
    aside = written_aside(path, os.getpid())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead(path.parent.glob(f".{glob.escape(path.name)}.*.part"))
        yield aside
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(aside, path)
    except BaseException as error:
        _remove(aside)
        if (reason := _no_room(error, aside)) is not None:
            raise NoRoomError(path, reason) from None
        raise


def written_aside(path: Path, process: int) -> Path:
    """Where a process of this machine writes what is to become `path`."""
    return path.with_name(f".{path.name}.{process}@{_machine()}.part")


def _no_room(error: BaseException, aside: Path) -> str | None:
    """Why there is no room for `aside`, where that is what the error says; a write names no file, an open does."""
    if isinstance(error, NoRoomError):
        return error.reason
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno not in _FULL:
            return None
        inside = error.filename is None or str(error.filename).startswith((str(aside), str(aside.parent)))
        return os.strerror(error.errno) if inside else None
    if (said := _SAID.search(str(error))) and int(said[1]) in _FULL:
        return os.strerror(int(said[1]))
    return None


def remove_dead(aside: Iterable[Path]) -> list[Path]:
    """Removes, of what `replacing` wrote aside, that of this machine's processes which are gone; returns it.

    A process number is used again by the system, so what bears our own is a dead process's too. Of other machines that
    share the file system nobody here can tell who lives: their files stay.
    """
    removed = []
    for path in list(aside):
        owner, _, machine = path.name.removesuffix(".part").rpartition(".")[2].partition("@")
        if machine != _machine() or not owner.isdecimal():
            continue
        if int(owner) == os.getpid() or not _is_alive(int(owner)):
            _remove(path)
            removed.append(path)
    return removed


def _machine() -> str:
    """The machine's name as a part of a file's."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", platform.node())


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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


def sum_key(path: Path) -> str:
    """Under which the metrics.json beside a file of JSON lines has its sum."""
    return f"{path.stem}_sha256"


def write_sums(folder: Path) -> None:
    """Writes the sha256 of every file of the folder into it, for `check_sums`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
    write_json(folder / SUMS, {path.relative_to(folder).as_posix(): sha256(path) for path in files})


def check_sums(folder: Path, names: Iterable[str] | None = None) -> None:
    """Raises ValueError naming the file of the folder that is missing or changed since `write_sums`.

    With `names` these files alone are read; one that was not there then is refused too.
    """
    sums = read_json(folder / SUMS)
    if not isinstance(sums, dict):
        raise ValueError(f"{folder / SUMS}: found {type(sums).__name__}; expected the sums of the folder's files")
    for name in sums if names is None else names:
        if (expected := sums.get(name)) is None:
            raise ValueError(f"{folder / name}: {SUMS} does not list it; expected the files that were written together")
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name}: missing, though {SUMS} lists it; expected the file as it was written")
        if (found := sha256(folder / name)) != expected:
            raise ValueError(f"{folder / name}: changed since it was written: sha256 {found}; expected {expected}")
