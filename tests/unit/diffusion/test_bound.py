"""Terms of one step: gradients, precision, padding, and the protocols' own formulas."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffusionbert.diffusion.bound import (
    MIXED_IN,
    Step,
    Terms,
    believed_alpha_bar,
    estimated_mean,
    negative_log_prediction,
    oracle_terms,
    released_terms,
    valid_terms,
)
from diffusionbert.diffusion.schedules import (
    Cosine,
    Linear,
    ReleasedSpindle,
    Schedule,
    Spindle,
    reveal_probability,
)

VOCABULARY, MASK, NUM_STEPS = 40, 3, 8
CANDIDATES = torch.ones(VOCABULARY, dtype=torch.bool)
CANDIDATES[:4] = False
PROBABILITY = torch.where(CANDIDATES, 1 / torch.arange(-3, VOCABULARY - 3).abs().clamp(min=1).double(), 0.0)
INFORMATION = torch.where(CANDIDATES, -(PROBABILITY / PROBABILITY.sum()).log(), math.nan)
CORPUS_MEAN = float((PROBABILITY / PROBABILITY.sum() * INFORMATION.nan_to_num()).sum())
LENGTHS = torch.tensor([6, 2, 5, 6, 1, 4])
T_OF_ROW = torch.tensor([1, 8, 4, 1, 5, 7])


def spindle(strength: float, mean: str = "corpus") -> Spindle:
    return Spindle(NUM_STEPS, INFORMATION, strength, mean, CORPUS_MEAN)  # type: ignore[arg-type]


SCHEDULES: dict[str, Schedule] = {
    "linear": Linear(NUM_STEPS),
    "cosine": Cosine(NUM_STEPS),
    "corpus": spindle(0.5),
    "strong": spindle(2.0),
    "sentence": spindle(0.5, "sentence"),
}


def step_of(schedule: Schedule, t: Tensor = T_OF_ROW, scale: float = 2.0, seed: int = 0) -> Step:
    """A batch of uneven sentences, some rows at t = 1; about half of what can be masked at t is."""
    generator = torch.Generator().manual_seed(seed)
    x0 = torch.randint(4, VOCABULARY, (6, 6), generator=generator)
    counted = torch.arange(6) < LENGTHS[:, None]
    x0 = torch.where(counted, x0, 0)
    alpha = schedule.alpha_bar(t, x0, schedule.sentence_mean(x0, counted))
    noise = torch.rand(6, 6, generator=generator, dtype=torch.float64)
    masked = counted & (alpha < 1) & (noise > 0.4)
    assert bool(masked[t == t.min()].any())
    logits = scale * torch.randn(int(masked.sum()), VOCABULARY, generator=generator, dtype=torch.float64)
    return Step(x0, counted, masked, t - 1, t, logits, CANDIDATES)


def with_logits(step: Step, logits: Tensor) -> Step:
    return dataclasses.replace(step, logits=logits)


def of_valid(schedule: Schedule, schedule_factor: bool = True) -> Callable[[Step], Terms]:
    return lambda step: valid_terms(step, schedule, schedule_factor=schedule_factor)


CASES: dict[str, tuple[Schedule, Callable[[Step], Terms]]] = {
    **{f"valid {name}": (schedule, of_valid(schedule)) for name, schedule in SCHEDULES.items()},
    **{
        f"valid {name}, no factor": (SCHEDULES[name], of_valid(SCHEDULES[name], False))
        for name in ("corpus", "strong", "sentence")
    },
    **{
        f"oracle {name}": (schedule, lambda step, schedule=schedule: oracle_terms(step, schedule))
        for name, schedule in SCHEDULES.items()
    },
    "released": (
        ReleasedSpindle(NUM_STEPS, torch.linspace(0, 1, VOCABULARY, dtype=torch.float64), 0.3),
        lambda step: released_terms(
            step, ReleasedSpindle(NUM_STEPS, torch.linspace(0, 1, VOCABULARY, dtype=torch.float64), 0.3)
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_finite_at_the_last_step_and_elsewhere(name: str) -> None:
    schedule, terms_of = CASES[name]
    for t in (T_OF_ROW, torch.ones(6, dtype=torch.long), torch.full((6,), NUM_STEPS)):
        step = step_of(schedule, t)
        logits = step.logits.float().requires_grad_()
        terms = terms_of(with_logits(step, logits))
        assert bool(terms.total.isfinite().all())
        terms.total.sum().backward()
        assert logits.grad is not None
        assert bool(logits.grad.isfinite().all())
        assert bool(logits.grad.any())
        assert not logits.grad[:, ~CANDIDATES].any(), "what is no candidate has no part in the prediction"


@pytest.mark.parametrize("name", [name for name in CASES if "sentence" not in name])
def test_gradient_is_the_derivative(name: str) -> None:
    # under the sentence mean the estimate of the mean is held constant: its gradient is not the derivative
    schedule, terms_of = CASES[name]
    step = step_of(schedule)
    step = with_logits(step, step.logits.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda logits: terms_of(with_logits(step, logits)).total, step.logits, fast_mode=True
    )


@pytest.mark.parametrize("name", CASES)
def test_float32_agrees_with_float64(name: str) -> None:
    schedule, terms_of = CASES[name]
    for scale in (1.0, 6.0):
        step = step_of(schedule, scale=scale)
        rounded = step.logits.float()
        exact, ours = terms_of(with_logits(step, rounded.double())), terms_of(with_logits(step, rounded))
        assert ours.total.dtype == torch.float64
        torch.testing.assert_close(ours.reveal, exact.reveal, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours.timing, exact.timing, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_terms_do_not_depend_on_the_batch(name: str) -> None:
    schedule, terms_of = CASES[name]
    step = step_of(schedule)
    whole = terms_of(step)
    sentence = step.masked.nonzero()[:, 0]
    for row in range(6):
        own = slice(row, row + 1)
        alone = terms_of(
            Step(
                step.x0[own, : LENGTHS[row]],
                step.counted[own, : LENGTHS[row]],
                step.masked[own, : LENGTHS[row]],
                step.s[own],
                step.t[own],
                step.logits[sentence == row],
                CANDIDATES,
            )
        )
        torch.testing.assert_close(alone.reveal, whole.reveal[own], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(alone.timing, whole.timing[own], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_constant_added_to_the_logits_changes_nothing(name: str) -> None:
    schedule, terms_of = CASES[name]
    step = step_of(schedule)
    moved = terms_of(with_logits(step, step.logits + 1234.5))
    torch.testing.assert_close(moved.total, terms_of(step).total, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_a_huge_logit_of_what_is_no_word_is_ignored(name: str) -> None:
    schedule, terms_of = CASES[name]
    step = step_of(schedule)
    logits = step.logits.float()
    logits[:, MASK] = 500.0
    terms = terms_of(with_logits(step, logits))
    torch.testing.assert_close(terms.total, terms_of(step).total, rtol=1e-5, atol=1e-5)


def test_reveal_and_timing_by_hand() -> None:
    """The two terms of section 4's bound, spelled out for one masked position under the corpus mean."""
    schedule = spindle(0.7)
    s, t = torch.tensor([3]), torch.tensor([5])
    token = 9
    logits = torch.randn(1, VOCABULARY, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    step = Step(
        torch.tensor([[token, 20]]), torch.ones(1, 2).bool(), torch.tensor([[True, False]]), s, t, logits, CANDIDATES
    )
    alpha_s, alpha_t = schedule.alpha_bar_of_vocabulary(s)[0], schedule.alpha_bar_of_vocabulary(t)[0]
    prediction = torch.softmax(logits[0].masked_fill(~CANDIDATES, -math.inf), -1)
    at_t = prediction * (1 - alpha_t)
    at_t = at_t / at_t.sum()
    rates = (alpha_s - alpha_t) / (1 - alpha_t).clamp(min=1e-300)
    r, R = float(rates[token]), float((at_t * rates).sum())
    terms = valid_terms(step, schedule)
    assert float(terms.reveal) == pytest.approx(-r * math.log(float(at_t[token])), rel=1e-12)
    assert float(terms.timing) == pytest.approx((1 - r) * math.log((1 - r) / (1 - R)), rel=1e-9)
    oracle = oracle_terms(step, schedule)
    assert float(oracle.reveal) == pytest.approx(-r * math.log(float(prediction[token])), rel=1e-12)
    assert float(oracle.timing) == 0


def test_a_sentence_with_nothing_masked_costs_nothing() -> None:
    for schedule, terms_of in CASES.values():
        step = step_of(schedule)
        empty = dataclasses.replace(step, masked=torch.zeros_like(step.masked), logits=step.logits[:0])
        assert terms_of(empty).total.tolist() == [0.0] * 6


def test_cross_entropy_is_over_the_candidates() -> None:
    step = step_of(Linear(NUM_STEPS))
    words = torch.log_softmax(step.logits.masked_fill(~CANDIDATES, -math.inf), -1)
    expected = -words.gather(-1, step.targets[:, None]).squeeze(-1)
    torch.testing.assert_close(negative_log_prediction(step), expected, rtol=1e-12, atol=1e-12)


def test_released_term_without_mask_in_the_softmax_is_r_times_the_surprise() -> None:
    schedule = ReleasedSpindle(NUM_STEPS, torch.linspace(0, 1, VOCABULARY, dtype=torch.float64), 0.3)
    step = step_of(schedule)
    keep = schedule.alpha_bar(step.s, step.x0, schedule.sentence_mean(step.x0, step.counted))
    beta = 1 / (NUM_STEPS - step.t + 1).double()[:, None]
    r = beta * keep / (beta * keep + 1 - keep)
    expected = step.per_sentence(r[step.masked] * negative_log_prediction(step))
    torch.testing.assert_close(released_terms(step, schedule).total, expected, rtol=1e-12, atol=1e-12)
    # and a softmax that keeps [MASK] but gives it nothing scores the same
    certain = step.logits.clone()
    certain[:, MASK] = -800.0
    candidates = CANDIDATES.clone()
    candidates[MASK] = True
    kept = dataclasses.replace(step, logits=certain, candidates=candidates)
    terms = released_terms(kept, schedule, mask_in_softmax=MASK)
    torch.testing.assert_close(terms.total, expected, rtol=1e-9, atol=1e-9)


def test_estimated_mean_is_what_is_seen_and_what_is_expected() -> None:
    schedule = spindle(0.5, "sentence")
    step = step_of(schedule)
    predicted = torch.softmax(step.logits.masked_fill(~CANDIDATES, -math.inf), -1) @ INFORMATION.nan_to_num()
    every = torch.where(step.counted, INFORMATION[step.x0].nan_to_num(), 0.0)
    every[step.masked] = predicted
    expected = every.sum(-1) / LENGTHS
    torch.testing.assert_close(estimated_mean(step, schedule), expected, rtol=1e-12, atol=0)
    # it reads nothing that the reverse process cannot see
    hidden = dataclasses.replace(step, x0=torch.where(step.masked, 4, step.x0))
    assert torch.equal(estimated_mean(hidden, schedule), estimated_mean(step, schedule))


@pytest.mark.parametrize("strength", [0.1, 0.5, 2.0])
def test_a_believed_schedule_makes_nothing_impossible(strength: float) -> None:
    schedule = spindle(strength, "sentence")
    means = torch.tensor([0.5, 3.0, 30.0], dtype=torch.float64)
    curve = torch.stack(
        [believed_alpha_bar(schedule, torch.full((3,), t), means)[:, CANDIDATES] for t in range(NUM_STEPS + 1)]
    )
    assert bool((curve[0] == 1).all())
    assert bool((curve[-1] == 0).all())
    assert bool(((curve[1:-1] > 0) & (curve[1:-1] < 1)).all())
    revealed = reveal_probability(curve[:-1], curve[1:])
    assert bool((revealed > MIXED_IN / NUM_STEPS / 2).all())
    assert bool((revealed[1:] < 1).all())
    assert bool((revealed[0] == 1).all())


def test_mixed_and_equal_steps_share_weights_only_where_they_may() -> None:
    schedule = spindle(0.5)
    t = torch.full((6,), 5)
    step = step_of(schedule, t)
    shared = valid_terms(step, schedule)
    # the same t, another s in one row: the weights are no longer shared, the other rows do not move
    mixed = dataclasses.replace(step, s=torch.tensor([4, 4, 2, 4, 4, 4]))
    terms = valid_terms(mixed, schedule)
    others = torch.tensor([True, True, False, True, True, True])
    torch.testing.assert_close(terms.total[others], shared.total[others], rtol=1e-12, atol=1e-12)
    own = slice(2, 3)
    alone = dataclasses.replace(
        mixed,
        x0=step.x0[own],
        counted=step.counted[own],
        masked=step.masked[own],
        s=mixed.s[own],
        t=mixed.t[own],
        logits=step.logits[step.masked.nonzero()[:, 0] == 2],
    )
    torch.testing.assert_close(valid_terms(alone, schedule).total, terms.total[own], rtol=1e-12, atol=1e-12)
    assert not torch.isclose(terms.total[2], shared.total[2])
