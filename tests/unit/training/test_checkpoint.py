"""Is a checkpoint whole or absent, never mistaken for another's, and is there always one to go on from?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from diffusionbert import checkpoint as room
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.files import written_aside


def _state(step: int) -> dict[str, Any]:
    return {"step": step, "weights": torch.arange(1000.0) + step}


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


def test_the_newest_are_kept_and_read(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "k")
    for step in (3, 6, 9, 12):
        checkpoint.write(_state(step), kept=2)
    assert [path.name for path in checkpoint.paths] == ["step-000000012.pt", "step-000000009.pt"]
    found = checkpoint.read()
    assert found is not None
    assert found["step"] == 12
    assert torch.equal(found["weights"], _state(12)["weights"])


@pytest.mark.parametrize("place", [0, 0.3, 0.7, -66, -65, -1], ids=str)
def test_one_flipped_byte_anywhere_is_seen_and_the_state_before_is_taken(
    tmp_path: Path, place: float, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Checkpoint(tmp_path, "k")
    for step in (3, 6):
        checkpoint.write(_state(step), kept=2)
    newest = checkpoint.paths[0]
    _flip(newest, place if isinstance(place, int) else int(place * newest.stat().st_size))
    found = checkpoint.read()
    assert found is not None
    assert found["step"] == 3
    told = f"{newest}: damaged checkpoint, its sum does not match; resuming from step-000000003.pt, which is whole\n"
    assert capsys.readouterr().err == told
    _flip(checkpoint.paths[1], 100)
    with pytest.raises(ValueError, match=r"step-000000003\.pt: damaged checkpoint, its sum does not match; remove it"):
        checkpoint.read()


@pytest.mark.parametrize("size", [0, 10, 65, 500])
def test_a_cut_file_is_damaged(tmp_path: Path, size: int) -> None:
    checkpoint = Checkpoint(tmp_path, "k")
    checkpoint.write(_state(3))
    path = checkpoint.paths[0]
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match="damaged checkpoint"):
        checkpoint.read()


def test_the_best_is_apart(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "k")
    assert checkpoint.best() is None
    checkpoint.write_best({"step": 6, "compared": 1.5})
    assert checkpoint.read() is None
    assert checkpoint.best() == {"step": 6, "compared": 1.5}
    with pytest.raises(ValueError, match="made under other settings"):
        Checkpoint(tmp_path, "other").best()
    _flip(checkpoint.best_path, 50)
    with pytest.raises(ValueError, match=r"best\.pt: damaged, its sum does not match; remove .* to start again"):
        checkpoint.best()


def test_what_a_dead_process_left_is_removed_and_a_live_one_s_is_not(tmp_path: Path) -> None:
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    os.waitpid(dead, 0)
    left, live = (written_aside(tmp_path / "step-000000003.pt", process) for process in (dead, os.getppid()))
    for path in (left, live):
        path.write_bytes(b"half")
    assert Checkpoint(tmp_path, "k").read() is None
    assert not left.exists()
    assert live.exists()


def test_nothing_of_the_state_s_size_is_held_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every piece that is written is summed and let go: a few of them, none larger than the largest tensor."""
    pieces: list[int] = []
    whole: Callable[[Any, bytes], int] = room._Summing.write

    def write(self: Any, data: bytes) -> int:
        pieces.append(len(data))
        return whole(self, data)

    monkeypatch.setattr(room._Summing, "write", write)
    checkpoint = Checkpoint(tmp_path, "k")
    tensors = [torch.zeros(50_000) for _ in range(20)]
    checkpoint.write({"step": 1, "weights": tensors})
    assert max(pieces) <= 4 * 50_000
    data = checkpoint.paths[0].read_bytes()
    assert sum(pieces) == len(data) - 65
    assert data[-64:] == hashlib.sha256(data[:-65]).hexdigest().encode()
