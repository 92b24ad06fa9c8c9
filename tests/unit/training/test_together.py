"""Does a batch in pieces, or on several processes, train an arm of every family as one process does?"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from diffusionbert.corpus.shards import Shards
from diffusionbert.stages import processes
from diffusionbert.training import ALONE
from trainings_together import Result, results


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


@pytest.fixture(scope="module")
def alone(shards: Shards) -> dict[str, Result]:
    return results(shards, ALONE)


def assert_same(ours: dict[str, Result], theirs: dict[str, Result]) -> None:
    """Float tolerance: Adam divides a gradient by its own size, so that rounding shows most where it is near 0."""
    assert ours.keys() == theirs.keys()
    for name, result in ours.items():
        for line, other in zip(result.losses, theirs[name].losses, strict=True):
            assert line == pytest.approx(other, rel=1e-4, abs=1e-6), name
        for key, weight in result.state.items():
            torch.testing.assert_close(weight, theirs[name].state[key], rtol=1e-3, atol=2e-4, msg=f"{name}: {key}")


def test_accumulated_pieces_are_the_batch(shards: Shards, alone: dict[str, Result]) -> None:
    assert_same(results(shards, ALONE, accumulate=2), alone)


def test_pieces_of_other_sizes_are_the_batch(shards: Shards, alone: dict[str, Result]) -> None:
    """Three pieces of eight sentences: 3, 3 and 2."""
    assert_same(results(shards, ALONE, accumulate=3), alone)


@pytest.mark.timeout(600)
def test_two_processes_are_one(
    grammar_shards: Path, tmp_path: Path, alone: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[2]}:{Path(__file__).parents[3] / 'src'}")
    assert processes.start("trainings_together", [str(grammar_shards), str(tmp_path / "found.pt")], 2) == 0
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    assert_same({name: Result(*parts) for name, parts in found.items()}, alone)
