"""The release's sampler: its law, by enumeration of its own kernels, and the defect that it is kept to show."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusionbert.diffusion.released_sampling import released_sampling
from diffusionbert.diffusion.sampling import Canvas, ancestral
from diffusionbert.diffusion.schedules import Linear, ReleasedSpindle
from diffusionbert.diffusion.truncation import Truncation
from oracle import Toy, toy
from property.test_samplers import NUM_SAMPLES, Table, p_value

FREQUENCY = np.array([1.0, 0.55, 0.2, 0.0])  # the release's w of three words and of [MASK]


def kernel(model: Toy, s: int, t: int, state: tuple[int, ...], strength: float, truncation: Truncation) -> np.ndarray:
    """p(x_s = . | x_t = state) at every position as the release has it, from its formulas alone; (L, V + 1)."""
    mask = model.num_words
    prediction = np.exp(model.logits[t, model.index(state)])
    prediction /= prediction.sum(-1, keepdims=True)
    frequency = FREQUENCY[prediction.argmax(-1)]
    keep = 1 - s / model.num_steps + strength * math.sin(math.pi * s / model.num_steps) * (frequency - frequency.mean())
    keep = np.ones_like(keep) if s == 0 else np.clip(keep, 0, 0.999)
    beta = (t - s) / (model.num_steps - s)
    rows = np.eye(mask + 1)[list(state)]
    for i in np.flatnonzero(np.array(state) == mask):
        row = prediction[i] * beta * keep[i]
        row[mask] = prediction[i, :mask].sum() * (1 - keep[i]) + prediction[i, mask]
        row **= 1 / truncation.temperature
        if truncation.top_k is not None:
            row[row < np.sort(row)[-truncation.top_k]] = 0
        rows[i] = row / row.sum()
    return rows


def law(model: Toy, grid: list[int], strength: float, truncation: Truncation) -> dict[tuple[int, ...], float]:
    """The probability of every last state, [MASK] among its tokens."""
    mass = {(model.num_words,) * model.length: 1.0}
    for s, t in zip(grid[-2::-1], grid[:0:-1], strict=True):
        following: dict[tuple[int, ...], float] = {}
        for state, probability in mass.items():
            rows = kernel(model, s, t, state, strength, truncation)
            for reached in model.states:
                chance = probability * math.prod(rows[i, word] for i, word in enumerate(reached))
                if chance > 0:
                    following[reached] = following.get(reached, 0.0) + chance
        mass = following
    return mass


def sampled(model: Toy, grid: list[int], strength: float, truncation: Truncation) -> Tensor:
    schedule = ReleasedSpindle(model.num_steps, torch.from_numpy(FREQUENCY), strength)
    *_, state = released_sampling(
        Table(model),
        schedule,
        Canvas.blank(torch.full((NUM_SAMPLES,), model.length), model.num_words, 0),
        grid,
        mask_id=model.num_words,
        truncation=truncation,
        rng=torch.Generator().manual_seed(3),
    )
    assert (state.t, state.calls) == (0, len(grid) - 1)
    return state.xt


@pytest.mark.parametrize("truncation", [Truncation(), Truncation(top_k=3), Truncation(temperature=0.6)])
@pytest.mark.parametrize(("grid", "strength"), [([0, 1, 2, 3, 4], 0.3), ([0, 2, 4], 0.3), ([0, 2, 4], 0.0)])
def test_its_samples_have_the_law_of_its_kernels(grid: list[int], strength: float, truncation: Truncation) -> None:
    model = toy(length=2, num_steps=4, scale=1.0, seed=6)
    exact = law(model, grid, strength, truncation)
    assert math.fsum(exact.values()) == pytest.approx(1)
    assert p_value(sampled(model, grid, strength, truncation), exact) > 1e-3


def test_it_may_leave_a_mask_and_shows_it() -> None:
    model = toy(length=2, num_steps=4, scale=1.0, seed=6)
    exact = law(model, [0, 2, 4], 0.0, Truncation())
    left = sum(probability for state, probability in exact.items() if model.num_words in state)
    assert left > 0.05
    samples = sampled(model, [0, 2, 4], 0.0, Truncation())
    share = float((samples == model.num_words).any(-1).double().mean())
    assert share == pytest.approx(left, abs=4 * math.sqrt(left / NUM_SAMPLES))


class Even:
    """200 tokens and [MASK], which it never predicts; the same mild prediction everywhere."""

    time_agnostic = True

    def __init__(self) -> None:
        self.logits = 0.5 * torch.randn(201, generator=torch.Generator().manual_seed(0))
        self.logits[200] = -50.0

    def encode(self, xt: Tensor, lengths: Tensor, t: Tensor) -> Tensor:
        return self.logits.expand(*xt.shape, -1)

    def predict(self, hidden: Tensor, positions: Tensor) -> Tensor:
        return hidden[positions]


def halfway(truncation: Truncation, *, released: bool) -> float:
    """The share of [MASK] at t = T / 2, T = 16, under the linear schedule."""
    rng, grid = torch.Generator().manual_seed(0), range(17)
    blank = Canvas.blank(torch.full((60,), 20), 200, 0)
    if released:
        schedule = ReleasedSpindle(16, torch.zeros(201, dtype=torch.float64), 0.0)
        states = released_sampling(Even(), schedule, blank, grid, mask_id=200, truncation=truncation, rng=rng)
    else:
        words = torch.arange(201) < 200
        states = ancestral(Even(), Linear(16), blank, words, grid, truncation=truncation, rng=rng)
    return next(float((state.xt == 200).double().mean()) for state in states if state.t == 8)


@pytest.mark.parametrize("truncation", [Truncation(top_k=30), Truncation(temperature=0.1)])
def test_truncation_keeps_its_text_masked_and_not_ours(truncation: Truncation) -> None:
    """The audit of the release: 0.676 of the positions are [MASK] at T / 2 where the schedule says 0.5."""
    tolerance = 4 * 0.5 / 1200**0.5
    assert halfway(Truncation(), released=True) == pytest.approx(0.5, abs=tolerance)
    assert halfway(truncation, released=True) > 0.6
    assert halfway(truncation, released=False) == pytest.approx(0.5, abs=tolerance)
