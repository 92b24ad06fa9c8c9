"""Every rule on a table of cases: each verdict, and each reason for it."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from diffusionbert.report.verdicts import (
    STUDENT,
    Effect,
    Verdict,
    difference,
    from_one_model,
    from_one_seed,
    from_seeds,
    log_ratio,
    over_seeds,
    together,
    within,
)

YES, NO, OPEN, ABSENT = Verdict.REPRODUCED, Verdict.CONTRADICTED, Verdict.INCONCLUSIVE, Verdict.NOT_RUN
LOWER, HIGHER, NEITHER = Effect(-0.3, -0.4, -0.2), Effect(0.3, 0.2, 0.4), Effect(-0.1, -0.3, 0.1)


@pytest.mark.parametrize(
    ("effect", "claimed", "spread", "verdict", "reason"),
    [
        (LOWER, -1, 0.1, YES, "exceeds the spread"),
        (LOWER, 1, 0.1, NO, "exceeds the spread"),
        (HIGHER, -1, 0.1, NO, "exceeds the spread"),
        (HIGHER, 1, 0.1, YES, "exceeds the spread"),
        (LOWER, -1, 0.3, OPEN, "within the spread"),
        (HIGHER, -1, 0.5, OPEN, "within the spread"),
        (LOWER, -1, None, OPEN, "no spread over seeds was measured"),
        (NEITHER, -1, 0.01, OPEN, "holds no effect"),
        (NEITHER, -1, None, OPEN, "holds no effect"),
        (Effect(-0.3, -0.4, 0.0), -1, 0.1, OPEN, "holds no effect"),
    ],
)
def test_one_seed_needs_the_interval_and_the_spread(
    effect: Effect, claimed: int, spread: float | None, verdict: Verdict, reason: str
) -> None:
    decision = from_one_seed(effect, claimed, spread)
    assert decision.verdict == verdict
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("effect", "claimed", "verdict"),
    [(LOWER, -1, YES), (LOWER, 1, NO), (HIGHER, 1, YES), (HIGHER, -1, NO), (NEITHER, 1, OPEN), (NEITHER, -1, OPEN)],
)
def test_enough_seeds_or_one_model_need_the_interval_alone(effect: Effect, claimed: int, verdict: Verdict) -> None:
    assert from_seeds(effect, claimed).verdict == verdict
    assert from_one_model(effect, claimed).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.5, 0.9, YES), (1.1, 3.0, NO), (0.9, 1.1, OPEN), (1.0, 1.2, OPEN)]
)
def test_a_range_of_repeats_lies_below_above_or_across_the_limit(low: float, high: float, verdict: Verdict) -> None:
    assert within({"value": (low + high) / 2, "low": low, "high": high}, 1.0).verdict == verdict


def test_what_was_timed_once_must_lie_a_factor_of_two_from_the_limit() -> None:
    def once(value: float) -> Verdict:
        return within({"value": value, "low": value, "high": value}, 1.0, repeated=False).verdict

    assert [once(value) for value in (0.49, 0.9, 1.0, 1.1, 2.1)] == [YES, OPEN, OPEN, OPEN, NO]


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([YES, YES], YES),
        ([YES, NO], NO),
        ([NO, ABSENT], NO),
        ([OPEN, NO], NO),
        ([YES, OPEN], OPEN),
        ([YES, ABSENT], OPEN),
        ([OPEN, ABSENT], OPEN),
        ([ABSENT, ABSENT], ABSENT),
        ([], ABSENT),
    ],
)
def test_a_claim_holds_when_all_of_it_does(parts: list[Verdict], verdict: Verdict) -> None:
    assert together(parts) == verdict


def test_students_quantiles_are_students() -> None:
    exact = [stats.t.ppf(0.975, degrees) for degrees in range(2, 2 + len(STUDENT))]
    assert pytest.approx(exact, abs=5e-5) == STUDENT


def test_seeds_and_sentences_add_up_in_quadrature() -> None:
    values, sentences = [-0.1, -0.2, -0.3], Effect(-0.5, -0.6, -0.4)
    effect = over_seeds(values, sentences)
    half = math.hypot(4.3027 * 0.1 / math.sqrt(3), 0.1)
    assert (effect.value, effect.low, effect.high) == pytest.approx((-0.2, -0.2 - half, -0.2 + half))
    assert over_seeds([-0.2] * 12, sentences).high == pytest.approx(-0.1)
    with pytest.raises(ValueError, match="2 seeds; expected at least 3"):
        over_seeds([0.1, 0.2], sentences)


def test_an_interval_that_excludes_nothing_over_sentences_may_do_so_over_seeds() -> None:
    sentences = Effect(-0.2, -0.21, -0.19)
    assert from_seeds(over_seeds([-0.2, -0.21, -0.19], sentences), -1).verdict == YES
    assert from_seeds(over_seeds([-0.2, -0.6, 0.2], sentences), -1).verdict == OPEN


def test_effects_turn_round() -> None:
    ratio = log_ratio({"value": 0.5, "low": 0.25, "high": 1.0})
    assert (-ratio).value == pytest.approx(math.log(2))
    assert ((-ratio).low, (-ratio).high) == pytest.approx((0.0, math.log(4)))
    assert (-difference({"value": 1, "low": 0.5, "high": 2})) == Effect(-1.0, -2.0, -0.5)
