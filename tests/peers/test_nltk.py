"""nltk's unsmoothed corpus_bleu of one sentence at a time is the definition of BLEU-4 and Self-BLEU here."""

import warnings

import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu

from diffusionbert.metrics.bleu import bleu, self_bleu

Sentences = list[list[str]]


def nltk_bleu(hypotheses: Sentences, references: Sentences) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nltk warns of every n-gram order without a match
        return [corpus_bleu([references], [hypothesis]) for hypothesis in hypotheses]


def nltk_self_bleu(samples: Sentences) -> list[float]:
    return [
        nltk_bleu([sample], samples[:position] + samples[position + 1 :])[0] for position, sample in enumerate(samples)
    ]


ADVERSARIAL = {
    "empty hypothesis": ([""], ["a b c d e"]),
    "empty reference beside a full one": (["a b c d e"], ["", "a b c d e f"]),
    "only empty references": (["a b", ""], [""]),
    "shorter than four words": (["a", "a b", "a b c"], ["a b c d", "c b a"]),
    "all references shorter than four": (["a b c d e"], ["a b", "b c", "d"]),
    "nothing in common": (["x y z w v"], ["a b c d e"]),
    "words in common, no longer n-gram": (["a x b y c"], ["a b c d e"]),
    "no four-gram in common": (["a b c x d e f"], ["a b c d e f g"]),
    "duplicates on both sides": (["a b c d e", "a b c d e"], ["a b c d e", "a b c d e"]),
    "one word repeated": (["the the the the the the the"], ["the cat is on the mat", "the the the"]),
    "counts clipped by different references": (["a a b b b a a"], ["a a a x", "b b y", "b b b a a"]),
    "tie in reference length": (["a b c d e"], ["a b c d e f g", "a b c", "a b c d x y z"]),
    "tie whose order matters to the penalty": (["a b c d e"], ["a b c d e f", "a b c d"]),
    "longer than every reference": (["a b c d e f g h"], ["a b c d", "e f g h i"]),
    "n-gram across two references": (["a b c d"], ["x a b", "c d y"]),
    "n-gram across two hypotheses": (["a b", "c d"], ["a b c d"]),
}


@pytest.mark.parametrize(("hypotheses", "references"), ADVERSARIAL.values(), ids=ADVERSARIAL.keys())
def test_bleu_is_nltks_on_adversarial_cases(hypotheses: list[str], references: list[str]) -> None:
    hypotheses_words, references_words = ([text.split() for text in side] for side in (hypotheses, references))
    ours = bleu(hypotheses_words, references_words)
    np.testing.assert_allclose(ours, nltk_bleu(hypotheses_words, references_words), rtol=1e-12, atol=0)


SELF = {
    "duplicates": ["a b c d e", "a b c d e", "a b x"],
    "a best count that only one holds": ["a a a a a", "a a b", "a c d"],
    "a best count that two hold": ["a a a b", "a a a c", "a"],
    "empty ones": ["", "", "a b c d"],
    "one empty of two": ["", "a b c d"],
    "only one of its length": ["a b c d e", "a b c", "a b c d e f g", "a b c"],
    "all alike": ["a b c d e f"] * 3,
    "nothing in common": ["a b c d", "e f g h", "i j k l"],
}


@pytest.mark.parametrize("texts", SELF.values(), ids=SELF.keys())
def test_self_bleu_is_nltks_on_adversarial_cases(texts: list[str]) -> None:
    samples = [text.split() for text in texts]
    np.testing.assert_allclose(self_bleu(samples), nltk_self_bleu(samples), rtol=1e-12, atol=0)


def zipf_sentences(rng: np.random.Generator, num: int, vocabulary: int = 60) -> Sentences:
    draws = [rng.zipf(1.3, size=rng.integers(0, 25)) % vocabulary for _ in range(num)]
    return [[f"w{word}" for word in draw] for draw in draws]


def test_both_are_nltks_on_text_like_sentences() -> None:
    rng = np.random.default_rng(0)
    hypotheses, references = zipf_sentences(rng, 30), zipf_sentences(rng, 60)
    np.testing.assert_allclose(bleu(hypotheses, references), nltk_bleu(hypotheses, references), rtol=1e-12, atol=0)
    np.testing.assert_allclose(self_bleu(hypotheses), nltk_self_bleu(hypotheses), rtol=1e-12, atol=0)


def test_references_may_come_in_any_number_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    hypotheses, references = zipf_sentences(rng, 10), zipf_sentences(rng, 23)
    whole = bleu(hypotheses, references)
    monkeypatch.setattr("diffusionbert.metrics.bleu.CHUNK", 4)
    np.testing.assert_array_equal(bleu(hypotheses, iter(references)), whole)
