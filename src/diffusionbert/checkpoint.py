"""Resume points of a training run: whole or absent, bound to the settings that made them.

A file is what `torch.save` writes and, behind it, a line with the sum of that. Nothing of the state's size is held in
memory beside the state, neither to write nor to check it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from diffusionbert.files import remove_dead, replacing

_SUM = 65  # a newline and 64 hexadecimal digits
_PIECE = 2**20


@dataclass(frozen=True)
class Checkpoint:
    """The states of one run under `folder`, whose settings hash to `key`: `step-N.pt`, and `best.pt` where one is kept.

    `best.pt` is what validation liked best so far, the weights alone: for `train.keep: best`, never to resume from.
    """

    folder: Path
    key: str

    @property
    def paths(self) -> list[Path]:
        """The states to resume from, the newest first."""
        return sorted(self.folder.glob("step-*.pt"), reverse=True)

    @property
    def best_path(self) -> Path:
        return self.folder / "best.pt"

    def write(self, state: dict[str, Any], *, kept: int = 1) -> None:
        """Writes the state after `state["step"]` steps, and removes all but the newest `kept`."""
        self._write(self.folder / f"step-{int(state['step']):09d}.pt", state)
        for path in self.paths[kept:]:
            path.unlink()

    def write_best(self, state: dict[str, Any]) -> None:
        self._write(self.best_path, state)

    def read(self) -> dict[str, Any] | None:
        """The newest whole state, or None where there is none.

        A damaged one is named on stderr and the one before it is taken. Raises ValueError when all are damaged, or
        when one was made under other settings.
        """
        remove_dead(self.folder.glob(".*.part"))  # what a killed process left half written
        damaged: Path | None = None
        for path in self.paths:
            state = self._whole(path)
            if state is not None:
                if damaged is not None:
                    told = f"{damaged}: damaged checkpoint, its sum does not match"
                    print(f"{told}; resuming from {path.name}, which is whole", file=sys.stderr)
                return state
            damaged = path
        if damaged is not None:
            raise ValueError(f"{damaged}: damaged checkpoint, its sum does not match; remove it to start again")
        return None

    def best(self) -> dict[str, Any] | None:
        """What `write_best` wrote last. Raises ValueError when it is damaged or was made under other settings."""
        if not self.best_path.exists():
            return None
        state = self._whole(self.best_path)
        if state is None:
            raise ValueError(
                f"{self.best_path}: damaged, its sum does not match; remove it to go on with the best of the "
                f"validations still to come, or {self.folder} to start again"
            )
        return state

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        with replacing(path) as aside, aside.open("wb") as file:
            summing: Any = _Summing(file)
            torch.save({"key": self.key, "state": state}, summing)
            file.write(b"\n" + summing.digest.hexdigest().encode())
            file.flush()
            os.fsync(file.fileno())  # a rename may reach the disk before what it names

    def _whole(self, path: Path) -> dict[str, Any] | None:
        """The state, or None when its sum does not match."""
        if not _sum_matches(path):
            return None
        found = torch.load(path, map_location="cpu", weights_only=True)  # its zip may have a line behind it
        if found.get("key") != self.key:
            raise ValueError(
                f"{path}: made under other settings (key {found.get('key')}); expected key {self.key}. Remove it "
                "to start again"
            )
        state: dict[str, Any] = found["state"]
        return state


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds a training for this process by the lock of a file, which ends with the process however that ends.

    Raises ValueError where another process holds it: two that write one state and one model would undo each other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{path}: another process is at this training, perhaps one whose engine was killed; wait for it to "
                "end, or stop it by SIGTERM, and it leaves its state"
            ) from None
        yield


class _Summing:
    """A file to write to that sums what it is given."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def _sum_matches(path: Path) -> bool:
    left = path.stat().st_size - _SUM
    if left < 0:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            digest.update(piece)
            left -= len(piece)
        return file.read() == b"\n" + digest.hexdigest().encode()
