"""DiffuSeq where a text is known to go on: the end is neither written nor predicted, and elsewhere nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusionbert.arms.build import vocabulary_of
from diffusionbert.arms.diffusion_lm import DiffusionLM, Settings
from diffusionbert.corpus.shards import Shards
from diffusionbert.denoisers import backbone
from diffusionbert.diffusion.sampling import Canvas
from diffusionbert.diffusion.truncation import Truncation
from unit.small_arms import DIFFUSEQ, SHAPE, information_of

EXPECTED = DIFFUSEQ | {"prediction": "expected", "objective": "bound"}
EVERY = pytest.mark.parametrize(
    "settings",
    [DIFFUSEQ, EXPECTED, EXPECTED | {"clamp": False}],
    ids=["direct, clamped", "expected, clamped", "expected"],
)
COUNT = 40


@pytest.fixture(scope="module")
def shards(pair_shards: Path) -> Shards:
    return Shards.open(pair_shards)


def bent_to_the_end(shards: Shards, settings: dict[str, Any]) -> tuple[DiffusionLM, list[int]]:
    """An arm that predicts the end everywhere, and the words whose embeddings stand at the end's."""
    torch.manual_seed(0)
    model = backbone.fresh(SHAPE, shards.special.vocab_size)
    arm = DiffusionLM(Settings(**settings), model, vocabulary_of(shards, information_of(shards)), Path())
    arm.start()
    end, (embeddings, bias) = arm.vocabulary.sep_id, (arm.denoiser.embedding.weight, arm.denoiser.rounding_bias)
    words = [word for word in arm.vocabulary.candidates.nonzero()[:, 0].tolist() if word != end]
    near = words[:3]
    with torch.no_grad():
        bias.zero_()
        bias[end] = 30.0
        embeddings[near] = embeddings[end] + 0.01
    arm.module.eval()
    return arm, near


def canvas_of(arm: DiffusionLM) -> Canvas:
    """Rows of a source, two unknown places, a given word and three more unknown ones."""
    xt = torch.full((COUNT, 8), arm.vocabulary.mask_id)
    word = int(arm.vocabulary.candidates.nonzero()[-1])
    xt[:, 0], xt[:, 1], xt[:, 4] = word, arm.vocabulary.sep_id, word
    return Canvas(xt, xt == arm.vocabulary.mask_id, torch.full((COUNT,), 8), torch.full((COUNT,), 2))


def states(arm: DiffusionLM, inner: Tensor | None) -> Tensor:
    canvas = replace(canvas_of(arm), inner=inner)
    found = arm.sample(canvas, 8, Truncation(), torch.Generator().manual_seed(3))
    return torch.stack([state.xt for state in found])


@EVERY
def test_fillings_are_not_the_neighbours_of_the_end(shards: Shards, settings: dict[str, Any]) -> None:
    arm, near = bent_to_the_end(shards, settings)
    places = torch.arange(8).expand(COUNT, -1) < 4
    found = states(arm, places)
    inside, behind = found[:, :, 2:4], found[-1, :, 5:]
    assert not bool((inside == arm.vocabulary.sep_id).any()), "nor is it shown on the way"
    share = torch.isin(inside[-1], torch.tensor(near)).float().mean()
    assert share < 0.5, "the end is predicted, and its neighbours drawn"
    assert bool((behind == arm.vocabulary.sep_id).all()), "where nothing is known to follow it ends"


@EVERY
def test_without_inner_places_nothing_changes_to_the_bit(shards: Shards, settings: dict[str, Any]) -> None:
    arm, _ = bent_to_the_end(shards, settings)
    plain = states(arm, None)
    assert torch.equal(plain, states(arm, torch.zeros(COUNT, 8, dtype=torch.bool)))
    output, xt = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(1))
    steps = torch.full((9,), 20)
    inner = torch.arange(9) < 4
    some = arm.predict(output, xt, steps, inner)
    assert torch.equal(some[~inner], arm.predict(output, xt, steps)[~inner]), "a place has no part in another's"
