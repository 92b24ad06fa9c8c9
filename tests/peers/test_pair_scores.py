"""nltk's smoothed sentence BLEU, rouge-score's ROUGE-L and scikit-learn's tf-idf are the definitions of ours."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from nltk.translate.bleu_score import SmoothingFunction
from nltk.translate.bleu_score import corpus_bleu as nltk_corpus_bleu
from nltk.translate.bleu_score import sentence_bleu as nltk_sentence_bleu
from rouge_score.rouge_scorer import RougeScorer
from sklearn.feature_extraction.text import TfidfVectorizer  # comes with mlflow

from diffusionbert.metrics.diffuseq import alphanumeric_words, spaced_words
from diffusionbert.metrics.retrieval import Index
from diffusionbert.metrics.rouge import rouge_l, rouge_words
from diffusionbert.metrics.sentence_bleu import Counted, corpus_bleu, sentence_bleu
from diffusionbert.words import split_words

Texts = list[list[str]]

ADVERSARIAL = {
    "the same": ("a b c d e", ["a b c d e"]),
    "nothing in common": ("x y z w v", ["a b c d e"]),
    "words in common alone": ("a x b y c", ["a b c d e"]),
    "no four-gram in common": ("a b c x d e f", ["a b c d e f g"]),
    "three words": ("a b c", ["a b c d"]),
    "two words": ("a b", ["a b c d"]),
    "one word": ("a", ["a b c d"]),
    "one word that is the reference": ("a", ["a"]),
    "one foreign word": ("x", ["a"]),
    "empty": ("", ["a b c d"]),
    "an empty reference": ("a b c d", [""]),
    "both empty": ("", [""]),
    "one word repeated": ("the the the the the", ["the cat is on the mat"]),
    "several references that clip": ("a a b b b a a", ["a a a x", "b b y", "b b b a a"]),
    "a tie in length": ("a b c d e", ["a b c d e f", "a b c d"]),
    "longer than all": ("a b c d e f g h", ["a b c d", "e f g h i"]),
}


def nltk(hypothesis: list[str], references: Texts) -> float:
    return float(nltk_sentence_bleu(references, hypothesis, smoothing_function=SmoothingFunction().method4))


def drawn(seed: int, number: int, longest: int = 12, words: str = "abcdefg") -> Texts:
    rng = np.random.default_rng(seed)
    return [list(rng.choice(list(words), rng.integers(1, longest))) for _ in range(number)]


@pytest.mark.parametrize(("hypothesis", "references"), ADVERSARIAL.values(), ids=ADVERSARIAL.keys())
def test_sentence_bleu_is_nltks_on_adversarial_cases(hypothesis: str, references: list[str]) -> None:
    sides = [reference.split() for reference in references]
    ours = sentence_bleu(Counted.of(hypothesis.split()), [Counted.of(side) for side in sides])
    assert ours == pytest.approx(nltk(hypothesis.split(), sides), rel=1e-12, abs=0)


def test_sentence_bleu_is_nltks_on_drawn_texts() -> None:
    for number, hypothesis in enumerate(drawn(0, 200)):
        references = drawn(number + 1, 1 + number % 4)
        ours = sentence_bleu(Counted.of(hypothesis), [Counted.of(each) for each in references])
        assert ours == pytest.approx(nltk(hypothesis, references), rel=1e-12, abs=0)


@pytest.mark.parametrize("number", [1, 3, 50])
def test_corpus_bleu_is_nltks(number: int) -> None:
    hypotheses, references = drawn(0, number), drawn(1, number)
    ours = corpus_bleu([Counted.of(each) for each in hypotheses], [Counted.of(each) for each in references])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nltk warns of every order without a match
        assert ours == pytest.approx(nltk_corpus_bleu([[each] for each in references], hypotheses), rel=1e-12, abs=0)


TEXTS = [
    ("The cat sat on the mat.", "The cat is on the mat!"),
    ("It isn't what it was, is it?", "it is not what it was"),
    ("", "a word"),
    ("a word", ""),
    ("...", "a word"),
    ("3,5 % of U.S. firms", "3.5 percent of us firms"),
    ("one two three four five six", "six five four three two one"),
]


def rouge_score(one: str, other: str) -> float:
    return float(RougeScorer(["rougeL"], use_stemmer=False).score(other, one)["rougeL"].fmeasure)


@pytest.mark.parametrize(("one", "other"), TEXTS)
def test_rouge_l_is_rouge_scores_on_ascii(one: str, other: str) -> None:
    ours = rouge_l(rouge_words(split_words(one)), rouge_words(split_words(other)))
    assert ours == pytest.approx(rouge_score(one, other), rel=1e-12, abs=0)


@pytest.mark.parametrize(("one", "other"), [*TEXTS, ("le café était là", "le cafe etait la")])
def test_rouge_l_as_diffuseq_computes_it_is_rouge_scores_on_its_decoded_text(one: str, other: str) -> None:
    sides = [" ".join(spaced_words(split_words(each))) for each in (one, other)]
    ours = rouge_l(*(alphanumeric_words(split_words(each)) for each in (one, other)))
    assert ours == pytest.approx(rouge_score(*sides), rel=1e-12, abs=0)


def test_rouge_l_is_rouge_scores_on_drawn_texts() -> None:
    for one, other in zip(drawn(2, 200, longest=30), drawn(3, 200, longest=30), strict=True):
        assert rouge_l(one, other) == pytest.approx(rouge_score(" ".join(one), " ".join(other)), rel=1e-12, abs=0)


def test_the_nearest_text_is_scikit_learns() -> None:
    texts, queries = drawn(4, 60, words="abcdefghijklmnop"), drawn(5, 20, words="abcdefghijklmnopqrst")
    vectorizer = TfidfVectorizer(analyzer=lambda words: words)
    theirs = (vectorizer.fit_transform(texts) @ vectorizer.transform(queries).T).toarray()  # (60, 20)
    index = Index.of(texts)
    for number, query in enumerate(queries):
        found = index.nearest(query, 3)
        best = np.sort(theirs[:, number])[::-1][:3]
        np.testing.assert_allclose(theirs[found, number], best, rtol=1e-12)
