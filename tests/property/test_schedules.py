"""The laws of alpha_bar, on an information table like a real one: Zipf-Mandelbrot counts, unused and special ids."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffusionbert.diffusion.information import mean_information, token_information
from diffusionbert.diffusion.schedules import (
    Cosine,
    Linear,
    ReleasedSpindle,
    Schedule,
    Spindle,
    log_frequency,
    reveal_probability,
    reveal_rate,
    stay_probability,
)

VOCABULARY = 3000
NOT_CANDIDATES = (0, 101, 102, 103)  # [PAD], [CLS], [SEP], [MASK]
LAMBDA = st.one_of(st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0, 2.0]), st.floats(0, 2))
STEPS = st.one_of(st.sampled_from([1, 2, 3, 64]), st.integers(1, 300))


def table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, probability and information; the rarest ids never occur and keep their smoothed count."""
    rank = np.arange(VOCABULARY).clip(1)  # id 1 is the most frequent word, as frequent as "the"
    counts = (2e6 / (rank + 0.7) ** 1.1).astype(np.int64)
    counts[-200:] = 0
    candidates = np.ones(VOCABULARY, dtype=bool)
    candidates[list(NOT_CANDIDATES)] = False
    probability, information = token_information(counts, candidates, 0.5)
    return counts, probability, information


COUNTS, PROBABILITY, INFORMATION_NUMPY = table()
INFORMATION = torch.from_numpy(INFORMATION_NUMPY)
CORPUS_MEAN = mean_information(PROBABILITY, INFORMATION_NUMPY)


def sentences(seed: int, length: int = 24, num: int = 4) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).choice(VOCABULARY, (num, length), p=PROBABILITY))


def assert_falls(alpha: Tensor) -> None:
    """alpha is (T + 1, ...): 1 at 0, 0 at T, in range, never rising."""
    assert bool((alpha[0] == 1).all())
    assert bool((alpha[-1] == 0).all())
    assert bool(((alpha >= 0) & (alpha <= 1)).all())
    assert float(alpha.diff(dim=0).max()) <= 1e-15


@settings(deadline=None, max_examples=40)
@given(STEPS, LAMBDA)
def test_corpus_spindle_falls_from_one_to_zero_for_every_token(num_steps: int, strength: float) -> None:
    schedule = Spindle(num_steps, INFORMATION, strength, "corpus", CORPUS_MEAN)
    alpha = schedule.alpha_bar_of_vocabulary(torch.arange(num_steps + 1))
    known = ~INFORMATION.isnan()
    assert_falls(alpha[:, known])
    assert bool((alpha[:, ~known] == 1).all()), "a special token is never masked"
    revealed, stays = reveal_probability(alpha[:-1], alpha[1:]), stay_probability(alpha[:-1], alpha[1:])
    possible = alpha[1:] < 1
    assert bool(((revealed >= -1e-12) & (revealed <= 1))[possible].all())
    assert bool(((stays >= 0) & (stays <= 1 + 1e-12))[possible].all())
    assert bool(((revealed + stays - 1).abs() < 1e-12)[possible].all())
    assert bool((revealed[0, known] == 1)[possible[0, known]].all()), "what is masked at t = 1 is revealed then"
    assert bool((stays[0, known] == 0)[possible[0, known]].all())


@settings(deadline=None, max_examples=12)
@given(st.sampled_from([1, 2, 7, 64]), LAMBDA)
def test_of_thirty_thousand_tokens_of_a_zipf_law_too(num_steps: int, strength: float) -> None:
    probability = 1 / np.arange(1, 30_001) ** 1.1
    probability /= probability.sum()
    information = torch.from_numpy(-np.log(probability))
    mean = float(probability @ information.numpy())
    schedule = Spindle(num_steps, information, strength, "corpus", mean)
    assert_falls(schedule.alpha_bar_of_vocabulary(torch.arange(num_steps + 1)))


@settings(deadline=None, max_examples=40)
@given(STEPS, LAMBDA, st.integers(0, 10**6))
def test_sentence_spindle_falls_from_one_to_zero(num_steps: int, strength: float, seed: int) -> None:
    schedule = Spindle(num_steps, INFORMATION, strength, "sentence")
    x0 = sentences(seed)
    mean = schedule.sentence_mean(x0, torch.ones_like(x0, dtype=torch.bool))
    alpha = torch.stack([schedule.alpha_bar(torch.full((len(x0),), t), x0, mean) for t in range(num_steps + 1)])
    assert_falls(alpha)


@pytest.mark.parametrize("num_steps", [1, 2, 77, 512])
def test_token_independent_schedules_fall_from_one_to_zero(num_steps: int) -> None:
    for schedule in (Linear(num_steps), Cosine(num_steps)):
        assert_falls(schedule.alpha_bar_of_vocabulary(torch.arange(num_steps + 1)))


@settings(deadline=None, max_examples=20)
@given(STEPS, st.floats(0, 1 / math.pi), st.integers(0, 10**6))
def test_released_spindle_falls_up_to_lambda_one_over_pi(num_steps: int, strength: float, seed: int) -> None:
    schedule = ReleasedSpindle(num_steps, log_frequency(torch.from_numpy(COUNTS)), strength)
    x0 = sentences(seed, num=1)
    mean = schedule.sentence_mean(x0, torch.ones_like(x0, dtype=torch.bool)).expand(num_steps + 1)
    alpha = schedule.alpha_bar(torch.arange(num_steps + 1), x0.expand(num_steps + 1, -1), mean)
    assert_falls(alpha)
    assert bool((alpha[1:] <= 0.999).all())


@settings(deadline=None, max_examples=30)
@given(STEPS, st.sampled_from(["corpus", "sentence"]), st.integers(0, 10**6))
def test_lambda_zero_is_linear_bit_for_bit(num_steps: int, mean: str, seed: int) -> None:
    schedule = Spindle(num_steps, INFORMATION, 0.0, mean, CORPUS_MEAN)  # type: ignore[arg-type]
    linear = Linear(num_steps)
    assert schedule.token_independent
    assert not schedule.uses_sentence_mean
    x0 = sentences(seed, num=num_steps + 1)
    t = torch.arange(num_steps + 1)
    assert schedule.sentence_mean(x0, torch.ones_like(x0, dtype=torch.bool)) is None
    assert torch.equal(schedule.alpha_bar(t, x0), linear.alpha_bar(t, x0))
    known = ~INFORMATION.isnan()
    of_words = schedule.alpha_bar_of_vocabulary(t)[:, known]
    assert torch.equal(of_words, linear.alpha_bar_of_vocabulary(t).expand(of_words.shape))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 512), st.floats(0.01, 0.99), st.integers(0, 10**6), st.integers(1, 64))
def test_information_is_destroyed_at_a_constant_rate_before_clipping(
    num_steps: int, share: float, seed: int, length: int
) -> None:
    """Eq. 9: sum_i H(x_i) a_t(x_i) = (1 - t/T) sum_i H(x_i); exact where lambda is too small to clip anything."""
    x0 = sentences(seed, length=length, num=1)
    information = INFORMATION[x0]
    mean = information.mean(-1)
    relative = 1 - mean[:, None] / information
    # |lambda sin(pi f) H~| < min(f, 1 - f) for lambda |H~| <= 1/pi
    strength = share / (math.pi * max(float(relative.abs().max()), 1e-3))
    schedule = Spindle(num_steps, INFORMATION, strength, "sentence")
    assert float((schedule.relative_information(information, mean) * information).sum().abs()) < 1e-9 * length
    for t in {1, num_steps // 3, num_steps // 2, num_steps - 1} - {0, num_steps}:
        alpha = schedule.alpha_bar(torch.tensor([t]), x0, schedule.sentence_mean(x0, torch.ones_like(x0).bool()))
        left = float((information * alpha).sum() / information.sum())
        assert left == pytest.approx(1 - t / num_steps, abs=1e-12)


def test_clipping_acts_on_the_most_frequent_tokens_already_at_three_tenths() -> None:
    schedule = Spindle(512, INFORMATION, 0.3, "corpus", CORPUS_MEAN)
    alpha = schedule.alpha_bar_of_vocabulary(torch.arange(513))
    clipped = (alpha[1:-1] == 1).any(0) & ~INFORMATION.isnan()
    assert bool(clipped[1])
    assert not bool(clipped[VOCABULARY // 2])
    relative = 1 - CORPUS_MEAN / INFORMATION
    expected = (relative < -1 / (0.3 * 512 * math.sin(math.pi / 512))) & ~INFORMATION.isnan()
    assert torch.equal(clipped, expected)


def schedules(num_steps: int) -> dict[str, Schedule]:
    return {
        "linear": Linear(num_steps),
        "cosine": Cosine(num_steps),
        **{
            f"{mean}_{x}": Spindle(num_steps, INFORMATION, x, mean, CORPUS_MEAN)  # type: ignore[arg-type]
            for mean, x in itertools.product(("corpus", "sentence"), (0.0, 0.1, 0.5, 2.0))
        },
        "released": ReleasedSpindle(num_steps, log_frequency(torch.from_numpy(COUNTS)), 0.3),
    }


@pytest.mark.parametrize("name", schedules(1))
def test_decay_is_the_finite_difference_of_alpha_bar(name: str) -> None:
    """-da/dt at real t, per token and over the vocabulary, away from the kinks that clipping makes."""
    schedule = schedules(50)[name]
    x0 = sentences(5, num=9)
    mean = schedule.sentence_mean(x0, torch.ones_like(x0, dtype=torch.bool))
    t, h = torch.linspace(0.7, 49.1, 9, dtype=torch.float64), 1e-4
    low, middle, high = (schedule.alpha_bar(t + d, x0, mean) for d in (-h, 0.0, h))
    difference = (low - high) / (2 * h)
    smooth = (((low - middle) - (middle - high)).abs() < 1e-7) & (difference.abs() >= 0)
    assert float(smooth.double().mean()) > 0.98
    decay = schedule.decay(t, x0, mean)
    torch.testing.assert_close(decay[smooth], difference[smooth], rtol=1e-6, atol=1e-9)
    of_vocabulary = schedule.decay_of_vocabulary(t, mean)
    gathered = of_vocabulary.expand(-1, VOCABULARY).gather(-1, x0)
    assert torch.equal(gathered, decay)
    alpha = schedule.alpha_bar_of_vocabulary(t, mean).expand(-1, VOCABULARY).gather(-1, x0)
    assert torch.equal(alpha, middle)


@pytest.mark.parametrize("name", ["linear", "cosine", "corpus_0.5", "corpus_2.0"])
def test_the_rate_is_the_limit_of_the_reveal_probability(name: str) -> None:
    schedule = schedules(50)[name]
    t = torch.tensor([3.3, 25.0, 47.7], dtype=torch.float64)
    alpha = schedule.alpha_bar_of_vocabulary(t)
    rate = reveal_rate(alpha, schedule.decay_of_vocabulary(t))
    h = 1e-5
    revealed = reveal_probability(schedule.alpha_bar_of_vocabulary(t - h), alpha) / h
    # where a is clipped the rate is 0 exactly; elsewhere the two agree to the order of h
    torch.testing.assert_close(revealed, rate, rtol=2e-3, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(LAMBDA, st.integers(0, 10**6))
def test_a_batch_is_its_rows(strength: float, seed: int) -> None:
    """Rows with steps of their own give, each, what they give alone."""
    schedule = Spindle(20, INFORMATION, strength, "sentence")
    x0 = sentences(seed, num=6)
    counted = torch.arange(x0.shape[1]) < torch.arange(6)[:, None] * 4 + 1
    t = torch.tensor([0, 1, 5, 13, 19, 20])
    mean = schedule.sentence_mean(x0, counted)
    whole = schedule.alpha_bar(t, x0, mean)
    for row in range(6):
        own = slice(row, row + 1)
        # a shorter sum of the same numbers may round otherwise
        alone = schedule.alpha_bar(t[own], x0[own], schedule.sentence_mean(x0[own], counted[own]))
        torch.testing.assert_close(alone, whole[own], rtol=1e-12, atol=1e-14)
        if strength > 0:
            hbar = INFORMATION[x0[row][counted[row]]].mean()
            assert mean is not None
            assert float(mean[row]) == pytest.approx(float(hbar), rel=1e-12)
