"""A denoiser that is told the time is a model of text as any other: by enumeration, through the arm's own scorer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from diffusionbert.arms.absorbing import Absorbing, Settings
from diffusionbert.diffusion.sampling import State
from diffusionbert.diffusion.truncation import Truncation
from oracle import Toy
from property.test_samplers import p_value
from toy_arms import (
    INFORMATION,
    LENGTH,
    MEAN,
    NOWHERE,
    all_sentences,
    batch_of,
    disturb,
    draws_of,
    table,
    toy_network,
    toy_vocabulary,
)

STEPS = 4


def toy_arm(design: str, strength: float) -> tuple[Absorbing, Toy]:
    settings = Settings(
        init="random", schedule="spindle", spindle_lambda=strength, objective="valid", num_steps=STEPS, time=design
    )
    arm = Absorbing(settings, toy_network(), toy_vocabulary(), NOWHERE)
    arm.module.eval()
    assert arm.denoiser.time is not None
    disturb(arm.denoiser.time)
    logits = table(arm.denoiser, [float(t) for t in range(STEPS + 1)])
    assert np.abs(logits[1] - logits[4]).max() > 0.1, "the time must matter"
    return arm, Toy(STEPS, LENGTH, INFORMATION, strength, MEAN, True, logits)


def expected_bound(arm: Absorbing, model: Toy, grid: list[int]) -> dict[tuple[int, ...], float]:
    """E_q of the scorer's terms, over every mask and step of the grid."""
    scorer, found = arm.scorer([], 0.3), dict.fromkeys(all_sentences(), 0.0)
    for s, t in itertools.pairwise(grid):
        for pattern in itertools.product([False, True], repeat=LENGTH):
            masked = torch.tensor(pattern).expand(len(found), -1)
            steps = torch.full((len(found),), t)
            with torch.no_grad():
                draw = draws_of(masked, torch.full_like(steps, s), steps)
                terms = scorer(batch_of(all_sentences()), draw, ["valid"])["valid"]
            for sentence, nats in zip(all_sentences(), terms.total.tolist(), strict=True):
                alpha = model.forward(t, sentence)
                # a word that cannot be visible at t is [MASK] under any uniform
                weight = math.prod(np.where(pattern, 1 - alpha, alpha))
                found[sentence] += weight * nats if weight > 0 else 0.0
    return found


@pytest.mark.parametrize("strength", [0.0, 0.5])
@pytest.mark.parametrize("design", ["lte", "pte"])
def test_the_reverse_model_sums_to_one_and_valid_bounds_it(design: str, strength: float) -> None:
    arm, model = toy_arm(design, strength)
    for grid in ([0, 1, 2, 3, 4], [0, 2, 4]):  # of the coarse grid too, t is told on the fine scale
        exact = model.probabilities(grid)
        assert math.fsum(exact.values()) == pytest.approx(1, abs=1e-12)
        bound = expected_bound(arm, model, grid)
        assert bound == pytest.approx(model.bound(grid), rel=1e-4)
        gaps = [bound[sentence] + math.log(exact[sentence]) for sentence in exact]
        assert min(gaps) > -1e-5  # the network computes in float32, and some sentence's words come in one order alone
        assert max(gaps) > 1e-3


@pytest.mark.parametrize(("design", "strength"), [("lte", 0.0), ("pte", 0.0), ("pte", 0.5)])
def test_samples_have_the_law_of_the_model_that_is_told_the_time(design: str, strength: float) -> None:
    arm, model = toy_arm(design, strength)
    states: list[State] = list(
        arm.sample(
            arm.vocabulary.blank(torch.full((20_000,), LENGTH)), STEPS, Truncation(), torch.Generator().manual_seed(5)
        )
    )
    assert p_value(states[-1].xt, model.probabilities([0, 1, 2, 3, 4])) > 1e-3
