"""The generator of text."""

from __future__ import annotations

from collections import Counter

import pytest

from diffusionbert import config
from diffusionbert.corpus.cleaning import judge
from diffusionbert.corpus.grammar import documents
from diffusionbert.corpus.sentences import split_sentences
from diffusionbert.words import split_words

SOURCE = config.GrammarSource(num_documents=40, num_words=200, seed=3)


def test_the_same_seed_gives_the_same_text() -> None:
    assert list(documents(SOURCE)) == list(documents(SOURCE))
    other = SOURCE.model_copy(update={"seed": 4})
    assert list(documents(SOURCE)) != list(documents(other))


def test_a_document_depends_on_its_number_alone() -> None:
    fewer = SOURCE.model_copy(update={"num_documents": 5})
    assert list(documents(fewer)) == list(documents(SOURCE))[:5]


def test_nearly_all_sentences_pass_cleaning() -> None:
    sentences = [sentence for document in documents(SOURCE) for sentence in split_sentences(document.text)]
    reasons = Counter(judge(sentences, config.Cleaning()))
    assert reasons[None] > 0.9 * len(sentences)
    assert set(reasons) <= {None, "too_short"}


def test_words_follow_a_heavy_tailed_law() -> None:
    counts = Counter(word for document in documents(SOURCE) for word in split_words(document.text))
    ranked = sorted(counts.values(), reverse=True)
    assert len(ranked) > 100
    assert ranked[0] > 20 * ranked[len(ranked) // 2]


def test_too_few_words_are_refused() -> None:
    with pytest.raises(ValueError, match=r"corpus\.grammar\.num_words: 5; expected at least 20"):
        next(documents(SOURCE.model_copy(update={"num_words": 5})))
