import math

import numpy as np
import pytest

from diffusionbert.metrics import perplexity as module
from diffusionbert.metrics.perplexity import figures, mean_interval, paired, perplexity, perplexity_interval


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_perplexity_divides_the_sums_and_not_each_sentence() -> None:
    assert perplexity([10.0, 2.0], [2, 4]) == pytest.approx(math.exp(2))


def test_equal_sentences_have_no_spread() -> None:
    interval = perplexity_interval([30.0] * 5, [10] * 5, rng(), 20)
    assert interval.value == interval.low == interval.high == pytest.approx(math.exp(3))


def test_the_interval_of_a_mean_has_its_textbook_width() -> None:
    values = rng(1).normal(100, 15, 4000)
    interval = mean_interval(values, rng(2), 1000)
    half = 1.96 * 15 / math.sqrt(4000)
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.1)
    assert interval.low < interval.value < interval.high


def test_the_three_figures_are_those_of_the_single_functions_on_the_same_draws() -> None:
    nats, words, tokens = rng(1).uniform(50, 150, 40), rng(2).integers(5, 30, 40), rng(3).integers(30, 40, 40)
    together = figures(nats, words, tokens, rng(), 200)
    assert together.nats_per_sentence == mean_interval(nats, rng(), 200)
    assert together.perplexity_per_word == perplexity_interval(nats, words, rng(), 200)
    assert together.perplexity_per_token == perplexity_interval(nats, tokens, rng(), 200)


def test_a_constant_difference_is_certain_however_much_sentences_differ() -> None:
    nats = rng(1).uniform(50, 500, 60)
    result = paired(nats + 2.0, nats, np.full(60, 10), rng(), 200)
    assert result.difference.value == pytest.approx(2.0)
    assert result.difference.high - result.difference.low < 1e-10
    assert result.ratio.value == pytest.approx(math.exp(0.2))


def test_a_baseline_may_count_its_own_words() -> None:
    result = paired([20.0], [30.0], [10], rng(), 5, baseline_sizes=[15])
    assert result.ratio.value == pytest.approx(1.0)
    assert result.difference.value == -10.0


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    nats = rng(1).uniform(50, 150, 30)
    whole = mean_interval(nats, rng(), 100)
    monkeypatch.setattr(module, "CHUNK", 64)
    assert mean_interval(nats, rng(), 100) == whole


def test_an_interval_is_written_as_a_mapping() -> None:
    assert mean_interval([1.0, 1.0], rng(), 3).as_dict() == {"value": 1.0, "low": 1.0, "high": 1.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: perplexity([], []), "one sentence or more"),
        (lambda: perplexity([1.0, math.nan], [1, 1]), "nats of sentence 1 is nan"),
        (lambda: perplexity([math.inf], [1]), "nats of sentence 0 is inf"),
        (lambda: perplexity([1.0], [0]), "no words or tokens"),
        (lambda: perplexity([1e6], [1]), "too large"),
        (lambda: perplexity([1.0], [1, 2]), "1 and 2 sentences"),
        (lambda: paired([1.0], [1.0, 2.0], [1], rng(), 5), "1 and 2 sentences"),
        (lambda: mean_interval([1.0], rng(), 0), "resamples is 0"),
    ],
)
def test_what_cannot_be_a_figure_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
