"""Choice among candidates and their diversity, against brute force and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from diffusionbert.metrics.candidates import choice, distinct_share, pairwise_bleu, self_bleu
from diffusionbert.metrics.diffuseq import decoded, spaced_words
from diffusionbert.metrics.sentence_bleu import Counted
from diffusionbert.metrics.sentence_bleu import sentence_bleu as bleu_of

SMOOTH = SmoothingFunction().method4


def counted(*texts: str) -> list[Counted]:
    return [Counted.of(text.split()) for text in texts]


def nltk_bleu(hypothesis: list[str], *references: list[str]) -> float:
    return float(sentence_bleu(list(references), hypothesis, smoothing_function=SMOOTH))


def drawn(seed: int, number: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [list(rng.choice(list("abcde"), rng.integers(1, 9))) for _ in range(number)]


@pytest.mark.parametrize("rule", ["mbr", "diffuseq", "released"])
@pytest.mark.parametrize("seed", range(30))
def test_the_choice_is_brute_forces(seed: int, rule: str) -> None:
    texts = drawn(seed, 2 + seed % 5)
    totals = []
    for i, one in enumerate(texts):
        utilities = [
            nltk_bleu(one, other) if rule == "mbr" else nltk_bleu(other, one)
            for j, other in enumerate(texts)
            if i != j or rule == "released"
        ]
        totals.append(sum(utilities))
    chosen = choice([Counted.of(text) for text in texts], rule)  # type: ignore[arg-type]
    assert totals[chosen] == pytest.approx(max(totals), rel=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_of_equal_candidates_brute_force_has_the_first_that_is_not_empty(seed: int) -> None:
    """Words of which no two candidates share one: all agreements are 0, and so are those of empty texts."""
    rng = np.random.default_rng(seed)
    texts = [[f"{place}"] * int(rng.integers(0, 3)) for place in range(2 + seed % 5)]
    written = [place for place, text in enumerate(texts) if text] or [0]
    row = [Counted.of(text) for text in texts]
    assert choice(row) == written[0]
    assert choice(row, "diffuseq") == 0
    itself = [nltk_bleu(text, text) if text else 0.0 for text in texts]
    assert choice(row, "released") == int(np.argmax(itself))


def test_an_empty_candidate_is_chosen_where_all_are_empty() -> None:
    assert choice(counted("", "a b", "c d")) == 1
    assert choice(counted("", "", "c")) == 2
    assert choice(counted("", "")) == 0
    assert [choice(counted("", "a b", "c d"), rule) for rule in ("diffuseq", "released")] == [0, 1]


def test_a_candidate_counted_against_itself_changes_the_choice_among_short_ones() -> None:
    texts = counted("yes sir", "yes sir", "a b c d")
    assert choice(texts, "diffuseq") == choice(texts) == 0
    assert choice(texts, "released") == 2


def test_a_text_of_none_two_or_three_words_is_no_match_of_itself() -> None:
    texts = counted("", "a", "a b", "a b c", "a b c d", "a b c d e")
    against_themselves = [bleu_of(text, [text]) for text in texts]
    assert against_themselves == pytest.approx([0, 1, 0.22, 0.58, 1, 1], abs=0.005)


def test_of_equal_candidates_the_first_is_chosen_and_one_is_chosen_of_one() -> None:
    assert choice(counted("a b c d", "a b c d")) == 0
    assert choice(counted("x")) == 0
    with pytest.raises(ValueError, match="no candidates"):
        choice([])


def test_self_bleu_has_every_candidate_against_all_others() -> None:
    texts = drawn(7, 4)
    others = [[text for place, text in enumerate(texts) if place != number] for number in range(4)]
    expected = np.mean([nltk_bleu(text, *rest) for text, rest in zip(texts, others, strict=True)])
    assert self_bleu([Counted.of(text) for text in texts]) == pytest.approx(expected, rel=1e-12)


def test_diffuseqs_self_bleu_has_the_later_of_two_against_the_earlier() -> None:
    texts = drawn(8, 4)
    expected = np.mean([nltk_bleu(later, earlier) for earlier, later in itertools.combinations(texts, 2)])
    assert pairwise_bleu([Counted.of(text) for text in texts]) == pytest.approx(expected, rel=1e-12)
    for score in (self_bleu, pairwise_bleu):
        with pytest.raises(ValueError, match="over 1 candidates; expected at least two"):
            score(counted("a b"))


def test_distinct_four_grams_by_hand() -> None:
    # a b c d, b c d e | a b c d: two distinct of three
    assert distinct_share(counted("a b c d e", "a b c d"), 4) == pytest.approx(2 / 3)
    assert distinct_share(counted("a b c", "a b"), 4) is None
    assert distinct_share(counted("a b a", "a"), 1) == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("what is it ?", "what is it?"),
        ("he said , ' no '", "he said,'no '"),
        ("i do n't know .", "i don't know."),
        ("it 's 3 . 5 !", "it's 3. 5!"),
    ],
)
def test_decoding_joins_what_berts_tokenizer_joins(words: str, text: str) -> None:
    assert decoded(words.split()) == text
    assert spaced_words(words.split()) == text.split()
