"""Differences at a share of the steps are paired over sentences."""

from __future__ import annotations

import numpy as np
import pytest

from diffusionbert.metrics.races import Curve, race

STEPS = np.array([0, 3, 10])
SPREAD = np.random.default_rng(0).normal(100, 40, 50)  # sentences differ by far more than runs do


def curve(*levels: float, steps: np.ndarray = STEPS) -> Curve:
    return Curve(steps, np.stack([SPREAD + level for level in levels]))


def test_what_sentences_share_cancels() -> None:
    found = race(curve(30, 5, 4), curve(40, 20, 8), 0.3, seed=0, resamples=200)
    assert (found.step, found.is_scored) == (3.0, True)
    for gap, expected in ((found.against_other, -3.0), (found.against_itself, 1.0)):
        assert gap.value == pytest.approx(expected)
        assert gap.high - gap.low < 1e-9


def test_between_two_scored_steps_the_line_is_straight() -> None:
    found = race(curve(30, 5, 4), curve(40, 20, 8), 0.15, seed=0, resamples=200)
    assert (found.step, found.is_scored) == (1.5, False)
    assert found.against_other.value == pytest.approx(17.5 - 8)


def test_differences_that_sentences_do_not_share_have_an_interval() -> None:
    ours = curve(30, 5, 4)
    noisy = Curve(STEPS, ours.nats + np.random.default_rng(1).normal(0, 3, ours.nats.shape))
    found = race(noisy, ours, 0.3, seed=0, resamples=500)
    assert found.against_other.low < found.against_other.value < found.against_other.high
    assert found.against_other.high - found.against_other.low == pytest.approx(2 * 1.96 * 3 / np.sqrt(50), rel=0.4)


def test_curves_over_other_sentences_or_steps_are_refused() -> None:
    other = Curve(STEPS, np.zeros((3, 49)))
    longer = curve(1, 2, 3, steps=np.array([0, 3, 20]))
    for against in (other, longer):
        with pytest.raises(ValueError, match="expected the same"):
            race(curve(30, 5, 4), against, 0.3, seed=0, resamples=10)
    with pytest.raises(ValueError, match="step 11 of a curve from step 0 to 10"):
        curve(30, 5, 4).at(11)
