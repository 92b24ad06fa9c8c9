"""Samplers against the enumerated reverse model: chi-square of sampled frequencies, at fixed seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from diffusionbert.diffusion.sampling import Canvas, State, ancestral, first_hitting, strided_grid
from diffusionbert.diffusion.schedules import Linear
from diffusionbert.diffusion.truncation import Truncation
from enumeration import schedule_of
from oracle import Toy, toy

NUM_SAMPLES = 20_000


class Table:
    """A toy's denoiser as the samplers call one."""

    def __init__(self, model: Toy, time_agnostic: bool = False) -> None:
        self.logits, self.base, self.time_agnostic = torch.from_numpy(model.logits), model.num_words + 1, time_agnostic

    def encode(self, xt: Tensor, lengths: Tensor, t: Tensor) -> Tensor:
        index = torch.zeros(len(xt), dtype=torch.long)
        for column in xt.T:
            index = index * self.base + column
        return self.logits[t, index]

    def predict(self, hidden: Tensor, positions: Tensor) -> Tensor:
        return hidden[positions]


def last(states: Iterator[State]) -> Tensor:
    *_, state = states
    assert state.t == 0
    return state.xt


def sampled(model: Toy, grid: Sequence[int], *, hitting: bool = False, seed: int = 0) -> Tensor:
    blank = Canvas.blank(torch.full((NUM_SAMPLES,), model.length), mask_id=model.num_words, pad_id=model.num_words)
    candidates = torch.arange(model.num_words + 1) < model.num_words
    return last(
        (first_hitting if hitting else ancestral)(
            Table(model),
            schedule_of(model),
            blank,
            candidates,
            grid,
            truncation=Truncation(top_k=model.top_k),
            rng=torch.Generator().manual_seed(seed),
        )
    )


def p_value(samples: Tensor, exact: dict[tuple[int, ...], float]) -> float:
    """Pearson's chi-square of the samples; sentences expected less than 5 times are counted together."""
    keys, times = np.unique(samples.numpy(), axis=0, return_counts=True)
    found = {tuple(key): int(n) for key, n in zip(keys.tolist(), times, strict=True)}
    assert set(found) <= set(exact), "a sentence the model gives probability 0 was drawn"
    expected = np.array([exact[key] * len(samples) for key in exact])
    observed = np.array([found.get(key, 0) for key in exact], dtype=float)
    rare = expected < 5
    if rare.any():
        expected = np.append(expected[~rare], expected[rare].sum())
        observed = np.append(observed[~rare], observed[rare].sum())
        if expected[-1] < 1:
            expected, observed = expected[:-1], observed[:-1]
    statistic = float(((observed - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, len(expected) - 1))


GRIDS = {"full": [0, 1, 2, 3, 4], "strided": strided_grid(4, 2), "one step": [0, 4]}


@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(
    ("mean", "strength"), [("corpus", 0.0), ("corpus", 0.5), ("corpus", 2.0), ("sentence", 0.5), ("sentence", 2.0)]
)
def test_ancestral_sampling_has_the_law_of_the_model(mean: str, strength: float, grid: str, top_k: int | None) -> None:
    model = toy(strength=strength, mean=mean, top_k=top_k, scale=1.0, seed=4)
    exact = {key: p for key, p in model.probabilities(GRIDS[grid]).items() if p > 0}
    assert sum(exact.values()) == pytest.approx(1)
    assert p_value(sampled(model, GRIDS[grid]), exact) > 1e-3


@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("grid", GRIDS)
def test_first_hitting_has_the_same_law_for_a_denoiser_told_the_time(grid: str, top_k: int | None) -> None:
    model = toy(strength=0.0, top_k=top_k, scale=1.5, seed=5)
    exact = model.probabilities(GRIDS[grid])
    assert p_value(sampled(model, GRIDS[grid], hitting=True), exact) > 1e-3
    assert p_value(sampled(model, GRIDS[grid], seed=1), exact) > 1e-3


STARTS = [(3, 1, 3), (0, 3, 3), (2, 3, 0)]  # [MASK] is 3: of the canvas's rows each has its own pattern


def canvas_of(starts: Sequence[tuple[int, ...]], copies: int) -> Canvas:
    xt = torch.tensor(starts).repeat_interleave(copies, 0)
    return Canvas(xt, xt == 3, torch.full((len(xt),), 3))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(
    ("mean", "strength", "hitting"),
    [("corpus", 0.0, True), ("corpus", 0.0, False), ("corpus", 0.5, False), ("sentence", 2.0, False)],
)
def test_what_is_missing_has_its_law_given_the_rest(mean: str, strength: float, hitting: bool, grid: str) -> None:
    model = toy(strength=strength, mean=mean, scale=1.0, seed=6)
    copies = NUM_SAMPLES // len(STARTS)
    samples = last(
        (first_hitting if hitting else ancestral)(
            Table(model),
            schedule_of(model),
            canvas_of(STARTS, copies),
            torch.arange(4) < 3,
            GRIDS[grid],
            truncation=Truncation(),
            rng=torch.Generator().manual_seed(2),
        )
    )
    for number, start in enumerate(STARTS):
        exact = {key: p for key, p in model.probabilities(GRIDS[grid], start).items() if p > 0}
        assert sum(exact.values()) == pytest.approx(1)
        drawn = samples[number * copies : (number + 1) * copies]
        assert p_value(drawn, exact) > 1e-3  # which fails for a sentence whose given words are others
        unlike = {key: p for key, p in model.probabilities(GRIDS[grid]).items() if p > 0}
        assert p_value(drawn, unlike) < 1e-4


def test_the_chi_square_can_fail() -> None:
    model = toy(strength=0.5, scale=1.0, seed=4)
    samples = sampled(model, GRIDS["full"])
    for other in (
        toy(strength=0.0, scale=1.0, seed=4),
        toy(strength=0.5, mean="sentence", scale=1.0, seed=4),
        toy(strength=0.5, schedule_factor=False, scale=1.0, seed=4),
    ):
        assert p_value(samples, other.probabilities(GRIDS["full"])) < 1e-4
    strided = model.probabilities(GRIDS["strided"])
    assert p_value(samples, strided) < 1e-4


@pytest.mark.parametrize("grid", [list(range(17)), [0, 3, 5, 16]])
def test_the_masked_share_follows_the_schedule(grid: list[int]) -> None:
    """Truncation leaves the expected share of [MASK] unchanged under a token-independent schedule."""
    model = toy(num_steps=16, strength=0.0)
    blank = Canvas.blank(torch.full((4000,), 3), mask_id=3, pad_id=3)
    states = ancestral(
        Table(model),
        Linear(16),
        blank,
        torch.tensor([True, True, True, False]),
        grid,
        truncation=Truncation(top_k=1, temperature=0.3),
        rng=torch.Generator().manual_seed(0),
    )
    for state in states:
        share = float((state.xt == 3).double().mean())
        assert share == pytest.approx(state.t / 16, abs=4 * 0.5 / 12_000**0.5)
