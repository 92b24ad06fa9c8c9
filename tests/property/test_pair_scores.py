"""Laws of the scores of pairs, whatever the texts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction
from nltk.translate.bleu_score import sentence_bleu as nltk_sentence_bleu

from diffusionbert.metrics.candidates import choice, pairwise_bleu, self_bleu
from diffusionbert.metrics.pairs import Answers, score
from diffusionbert.metrics.retrieval import Index
from diffusionbert.metrics.rouge import longest_common, rouge_l
from diffusionbert.metrics.sentence_bleu import Counted, sentence_bleu

TEXT = st.lists(st.sampled_from("abcd"), max_size=9)
FULL = st.lists(st.sampled_from("abcd"), min_size=4, max_size=9)
SEVERAL = st.lists(TEXT, min_size=2, max_size=4)


@settings(deadline=None)
@given(TEXT, st.lists(TEXT, min_size=1, max_size=4))
def test_sentence_bleu_is_nltks(hypothesis: list[str], references: list[list[str]]) -> None:
    ours = sentence_bleu(Counted.of(hypothesis), [Counted.of(each) for each in references])
    theirs = nltk_sentence_bleu(references, hypothesis, smoothing_function=SmoothingFunction().method4)
    assert ours == pytest.approx(float(theirs), rel=1e-12, abs=0)
    assert 0 <= ours <= 1


@settings(deadline=None)
@given(FULL, st.lists(TEXT, max_size=3))
def test_a_text_of_four_words_or_more_scores_one_against_itself_among_any(text: list[str], others: list[str]) -> None:
    references = [Counted.of(each) for each in (text, *others)]
    assert sentence_bleu(Counted.of(text), references) == pytest.approx(1)
    assert rouge_l(text, text) == 1


@settings(deadline=None)
@given(TEXT, TEXT)
def test_the_common_subsequence_is_the_textbooks(one: list[str], other: list[str]) -> None:
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    for i, word in enumerate(one):
        for j, their in enumerate(other):
            table[i + 1, j + 1] = table[i, j] + 1 if word == their else max(table[i, j + 1], table[i + 1, j])
    assert longest_common(one, other) == table[-1, -1]
    assert rouge_l(one, other) == rouge_l(other, one)


@settings(deadline=None)
@given(SEVERAL, st.randoms(use_true_random=False))
def test_diversity_does_not_depend_on_the_order_and_more_references_are_no_less_alike(
    texts: list[list[str]], random: object
) -> None:
    counted = [Counted.of(text) for text in texts]
    mixed = counted[:]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert self_bleu(counted) == pytest.approx(self_bleu(mixed))
    assert 0 <= pairwise_bleu(counted) <= 1


@settings(deadline=None)
@given(SEVERAL, FULL)
def test_a_candidate_that_most_are_is_chosen(others: list[list[str]], text: list[str]) -> None:
    """With as many copies as there are others, none can agree better: every other scores at most one a copy."""
    texts = [*others, *([text] * (len(others) + 1))]
    counted = [Counted.of(each) for each in texts]
    chosen = choice(counted)
    rest = [each for place, each in enumerate(counted) if place != chosen]
    agreement = sum(sentence_bleu(counted[chosen], [each]) for each in rest)
    assert agreement >= len(others)  # that of a copy with the other copies


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, SEVERAL), min_size=1, max_size=3))
def test_every_score_is_a_share_or_absent(rows: list[tuple[list[str], list[list[str]]]]) -> None:
    size = min(len(candidates) for _, candidates in rows)
    found = score(Answers([reference for reference, _ in rows], [candidates[:size] for _, candidates in rows]))
    for name, values in found.columns.items():
        held = values[~np.isnan(values)]
        assert name == "words" or ((held >= 0) & (held <= 1 + 1e-12)).all(), name
    assert all(0 <= number < size for number in (*found.chosen, *found.diffuseq_chosen))


@settings(deadline=None)
@given(st.lists(FULL, min_size=1, max_size=5), FULL)
def test_the_nearest_text_is_that_of_dense_vectors(texts: list[list[str]], query: list[str]) -> None:
    words = sorted("abcd")
    counts = np.array([[text.count(word) for word in words] for text in texts], dtype=float)
    weight = 1 + np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0)))
    known = (counts > 0).any(axis=0)
    vectors = counts * weight / np.linalg.norm(counts * weight, axis=1, keepdims=True)
    similar = vectors @ (np.array([query.count(word) for word in words]) * weight * known)
    (found,) = Index.of(texts).nearest(query)
    assert similar[found] == pytest.approx(similar.max())
