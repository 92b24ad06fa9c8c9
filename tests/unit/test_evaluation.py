from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from diffusionbert.corpus.batches import in_order_of_length
from diffusionbert.corpus.shards import Shards
from diffusionbert.evaluation import Scores, evaluate
from unit.small_arms import LINEAR, SPINDLE, small_arm


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


def _scores(shards: Shards, settings: dict, *, strata: int, steps: int | None, size: int = 8) -> dict[str, Scores]:
    arm = small_arm(shards, settings)
    arm.module.eval()
    return evaluate(
        arm.scorer([0.0, 0.3], 0.3),
        list(in_order_of_length(shards["test"], 16, size, shards.special.pad_id)),
        num_strata=strata,
        num_eval_steps=steps,
        seed=0,
        device=torch.device("cpu"),
        label="test",
    )


def test_figures_are_paired_and_do_not_depend_on_the_batches(shards: Shards) -> None:
    ones = _scores(shards, SPINDLE, strata=4, steps=None, size=1)
    eights = _scores(shards, SPINDLE, strata=4, steps=None, size=8)
    for name, figure in ones.items():
        np.testing.assert_allclose(figure.nats, eights[name].nats, rtol=1e-5)
        np.testing.assert_allclose(figure.nats, figure.reveal + figure.timing, rtol=1e-12)
    np.testing.assert_array_equal(ones["valid"].nats, ones["order_spindle_0.3"].nats)
    assert ones["valid"].timing.any()


def test_strata_estimate_the_sum_over_all_steps(shards: Shards) -> None:
    every = _scores(shards, LINEAR, strata=32, steps=None)["valid"]
    few = _scores(shards, LINEAR, strata=8, steps=None)["valid"]
    error = np.hypot(every.monte_carlo_standard_error, few.monte_carlo_standard_error)
    assert error > 0
    assert abs(every.nats.mean() - few.nats.mean()) < 4 * error
    # an untrained network is close to uniform: about ln V a token, whatever is masked
    lengths = shards["test"].lengths[:16]
    assert every.nats.mean() == pytest.approx(lengths.mean() * np.log(shards.special.vocab_size), rel=0.1)


def test_a_strided_evaluation_takes_each_grid_step_once(shards: Shards) -> None:
    strided = _scores(shards, LINEAR, strata=99, steps=4)["valid"]
    assert strided.nats.shape == (16,)
    assert np.isfinite(strided.nats).all()


def test_steps_that_do_not_divide_are_refused(shards: Shards) -> None:
    with pytest.raises(ValueError, match="5 steps do not divide num_steps = 32"):
        _scores(shards, LINEAR, strata=2, steps=5)
