"""Conditional figures by enumeration: a source is seen, never noised and never counted; the bound is above -ln p."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from diffusionbert.arms.absorbing import Absorbing, Settings
from diffusionbert.corpus.batches import Batch
from diffusionbert.diffusion import released_sampling
from diffusionbert.diffusion.sampling import Canvas
from diffusionbert.diffusion.schedules import ReleasedSpindle
from diffusionbert.diffusion.truncation import Truncation
from oracle import Toy
from property.test_samplers import p_value
from toy_arms import (
    INFORMATION,
    LENGTH,
    MEAN,
    NOWHERE,
    WORDS,
    all_sentences,
    disturb,
    draws_of,
    toy_network,
    toy_vocabulary,
)

STEPS = 4
SOURCES = ((0, 2, WORDS + 3), (1, 1, 0, WORDS + 3))  # their last token separates


def toy_arm(design: str, strength: float) -> Absorbing:
    settings = Settings(
        init="random", schedule="spindle", spindle_lambda=strength, objective="valid", num_steps=STEPS, time=design
    )
    arm = Absorbing(settings, toy_network(), toy_vocabulary(), NOWHERE)
    arm.module.eval()
    if arm.denoiser.time is not None:
        disturb(arm.denoiser.time)
    return arm


@torch.no_grad()
def given_source(arm: Absorbing, source: tuple[int, ...], strength: float, mean: float | None = MEAN) -> Toy:
    """The toy whose every prediction is the arm's for a target behind this source."""
    targets = torch.tensor(list(itertools.product(range(WORDS + 1), repeat=LENGTH)))
    states = torch.cat([torch.tensor(source).expand(len(targets), -1), targets], -1)
    lengths = torch.full((len(states),), states.shape[1])
    where = (torch.arange(states.shape[1]) >= len(source)).expand(states.shape)
    rows = []
    for t in range(STEPS + 1):
        told = torch.full((len(states),), float(t), dtype=torch.float64)
        logits = arm.denoiser.predict(arm.denoiser.encode(states, lengths, told), where)
        rows.append(logits[:, : WORDS + 1].double().reshape(len(states), LENGTH, WORDS + 1).numpy())
    return Toy(STEPS, LENGTH, INFORMATION, strength, mean, True, np.stack(rows))


def batch_of(source: tuple[int, ...]) -> Batch:
    rows = [(*source, *target) for target in all_sentences()]
    size = len(rows)
    given = torch.full((size,), len(source))
    return Batch(torch.tensor(rows), torch.full((size,), len(rows[0])), np.arange(size), given)


@torch.no_grad()
def expected_bound(
    arm: Absorbing, model: Toy, source: tuple[int, ...], grid: list[int]
) -> dict[tuple[int, ...], float]:
    """E_q of the scorer's terms over every mask of the target; the draw would mask the source too if it could."""
    scorer, found, batch = arm.scorer([], 0.3), dict.fromkeys(all_sentences(), 0.0), batch_of(source)
    for s, t in itertools.pairwise(grid):
        for pattern in itertools.product([False, True], repeat=LENGTH):
            masked = torch.tensor((*[True] * len(source), *pattern)).expand(len(found), -1)
            steps = torch.full((len(found),), t)
            terms = scorer(batch, draws_of(masked, torch.full_like(steps, s), steps), ["valid"])["valid"]
            for sentence, nats in zip(all_sentences(), terms.total.tolist(), strict=True):
                alpha = model.forward(t, sentence)
                weight = math.prod(np.where(pattern, 1 - alpha, alpha))
                found[sentence] += weight * nats if weight > 0 else 0.0
    return found


@pytest.mark.parametrize("strength", [0.0, 0.5])
@pytest.mark.parametrize("design", ["tad", "lte", "pte"])
def test_the_conditional_bound_is_above_minus_ln_p_of_the_target_given_its_source(design: str, strength: float) -> None:
    arm, grid = toy_arm(design, strength), list(range(STEPS + 1))
    exact = []
    for source in SOURCES:
        model = given_source(arm, source, strength)
        exact.append(model.probabilities(grid))
        assert math.fsum(exact[-1].values()) == pytest.approx(1, abs=1e-12)
        bound = expected_bound(arm, model, source, grid)
        assert bound == pytest.approx(model.bound(grid), rel=1e-4)
        assert min(bound[target] + math.log(exact[-1][target]) for target in exact[-1]) > -1e-5
    differences = [abs(exact[0][target] - exact[1][target]) for target in exact[0]]
    assert max(differences) > 1e-2, "another source, another law"


def canvas_of(arm: Absorbing, each: int) -> Canvas:
    """So many rows of every source, targets unknown."""
    width = max(map(len, SOURCES)) + LENGTH
    pad = arm.vocabulary.pad_id
    rows = [[*source, *[0] * LENGTH, *[pad] * (width - LENGTH - len(source))] for source in SOURCES]
    tokens = torch.tensor(rows).repeat_interleave(each, 0)
    given = torch.tensor([len(source) for source in SOURCES]).repeat_interleave(each)
    return Canvas.of_pairs(tokens, given, given + LENGTH, arm.vocabulary.mask_id, pad)


def check_law(arm: Absorbing, strength: float, mean: float | None, *, each: int = 6000) -> None:
    *_, last = arm.sample(canvas_of(arm, each), STEPS, Truncation(), torch.Generator().manual_seed(3))
    for number, source in enumerate(SOURCES):
        found = last.xt[number * each : (number + 1) * each]
        assert found[:, : len(source)].tolist() == [list(source)] * each, "a source stays as it is"
        drawn = found[:, len(source) : len(source) + LENGTH]
        law = given_source(arm, source, strength, mean).probabilities(list(range(STEPS + 1)))
        assert p_value(drawn, law) > 1e-3


@pytest.mark.parametrize(("design", "strength"), [("tad", 0.0), ("tad", 0.5), ("pte", 0.5)])
def test_samples_of_two_sources_in_one_batch_have_the_law_of_each(design: str, strength: float) -> None:
    check_law(toy_arm(design, strength), strength, MEAN)


def of_sentence_mean(strength: float) -> Absorbing:
    settings = Settings(
        init="random",
        schedule="spindle",
        spindle_lambda=strength,
        spindle_mean="sentence",
        objective="oracle",
        num_steps=STEPS,
    )
    arm = Absorbing(settings, toy_network(), toy_vocabulary(), NOWHERE)
    arm.module.eval()
    return arm


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_a_sentences_mean_is_the_targets_alone_in_the_sampler_too(strength: float) -> None:
    arm, grid = of_sentence_mean(strength), list(range(STEPS + 1))
    for source in SOURCES:  # the model that is scored
        model = given_source(arm, source, strength, None)
        assert expected_bound(arm, model, source, grid) == pytest.approx(model.bound(grid), rel=1e-4)
    check_law(arm, strength, None)


def test_the_releases_sampler_centres_over_the_target_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    over: list[torch.Tensor] = []
    keep = released_sampling.keep_of_predictions

    def watched(schedule: ReleasedSpindle, s: int, predicted: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        over.append(counted)
        return keep(schedule, s, predicted, counted)

    monkeypatch.setattr(released_sampling, "keep_of_predictions", watched)
    arm = of_sentence_mean(0.5)
    canvas = canvas_of(arm, 2)
    *_, last = arm.sample_as_released(canvas, STEPS, Truncation(), torch.Generator().manual_seed(3))
    assert len(over) == STEPS
    assert all(torch.equal(counted, canvas.masked) for counted in over), "whatever is named meanwhile"
    assert torch.equal(last.xt[~canvas.masked], canvas.xt[~canvas.masked])
