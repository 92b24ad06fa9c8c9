"""Laws of the text metrics and of the bootstrap, over generated cases."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import corpus_bleu

from diffusionbert.metrics.bleu import bleu, self_bleu
from diffusionbert.metrics.diversity import distinct, token_entropy
from diffusionbert.metrics.perplexity import paired, perplexity, perplexity_interval

SENTENCE = st.lists(st.sampled_from("abcd"), max_size=9)  # few words, so that n-grams repeat and lengths tie
SENTENCES = st.lists(SENTENCE, min_size=1, max_size=6)
NATS = st.lists(st.floats(1, 200), min_size=2, max_size=12)


def nltk_score(hypothesis: list[str], references: list[list[str]]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return corpus_bleu([references], [hypothesis])


@settings(deadline=None)
@given(SENTENCES, SENTENCES)
def test_bleu_is_nltks(hypotheses: list[list[str]], references: list[list[str]]) -> None:
    theirs = [nltk_score(hypothesis, references) for hypothesis in hypotheses]
    np.testing.assert_allclose(bleu(hypotheses, references), theirs, rtol=1e-12, atol=0)


@settings(deadline=None)
@given(st.lists(SENTENCE, min_size=2, max_size=6))
def test_self_bleu_is_nltks(samples: list[list[str]]) -> None:
    theirs = [nltk_score(sample, samples[:row] + samples[row + 1 :]) for row, sample in enumerate(samples)]
    np.testing.assert_allclose(self_bleu(samples), theirs, rtol=1e-12, atol=0)


@given(SENTENCES)
def test_distinct_and_entropy_are_bounded(texts: list[list[str]]) -> None:
    types = len({word for text in texts for word in text})
    assert 0 <= distinct(texts, 1) <= 1
    assert -1e-12 <= token_entropy(texts) <= np.log(max(types, 1)) + 1e-12


@given(NATS, st.integers(0, 100))
def test_an_interval_is_ordered_and_repeats_under_its_seed(nats: list[float], seed: int) -> None:
    sizes = np.arange(1, len(nats) + 1)
    first, second = (perplexity_interval(nats, sizes, np.random.default_rng(seed), 50) for _ in range(2))
    assert first == second
    assert first.low <= first.high
    assert first.value == perplexity(nats, sizes)


@given(NATS, st.integers(0, 100))
def test_swapping_the_arms_turns_the_comparison_round(nats: list[float], seed: int) -> None:
    sizes, other = np.full(len(nats), 7), np.array(nats[::-1])
    one = paired(nats, other, sizes, np.random.default_rng(seed), 50)
    two = paired(other, nats, sizes, np.random.default_rng(seed), 50)
    assert one.difference.value == pytest.approx(-two.difference.value)
    assert one.difference.low == pytest.approx(-two.difference.high)
    assert one.ratio.low == pytest.approx(1 / two.ratio.high)
    assert one.ratio.value == pytest.approx(1 / two.ratio.value)
