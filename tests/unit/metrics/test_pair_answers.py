"""Scores of a system's answers: both ways of counting, by hand, and paired differences."""

from __future__ import annotations

import numpy as np
import pytest

from diffusionbert.metrics import seeds
from diffusionbert.metrics.bertscore import Encoded, bertscore
from diffusionbert.metrics.near_copies import near_copies
from diffusionbert.metrics.pair_contrasts import contrasts, mean, same_sources, spread, told
from diffusionbert.metrics.pair_signatures import signatures
from diffusionbert.metrics.pairs import SCORES, Answers, score, summary
from diffusionbert.metrics.retrieval import Index
from diffusionbert.metrics.sentence_bleu import Counted, sentence_bleu

REFERENCE = ["the", "dog", "is", "in", "the", "big", "house", "."]
CANDIDATES = [
    ["a", "dog", "is", "in", "the", "house", "."],
    ["the", "dog", "is", "in", "the", "old", "house", "."],
    ["cats", "sleep", "."],
]


def answers(**changes: object) -> Answers:
    return Answers([REFERENCE, REFERENCE], [CANDIDATES, CANDIDATES[::-1]], **changes)  # type: ignore[arg-type]


def bleu(hypothesis: list[str], *references: list[str]) -> float:
    return sentence_bleu(Counted.of(hypothesis), [Counted.of(each) for each in references])


def test_ours_is_of_the_candidate_that_the_others_agree_with() -> None:
    found = score(answers())
    agreement = [sum(bleu(one, other) for other in CANDIDATES if other is not one) for one in CANDIDATES]
    best = CANDIDATES[agreement.index(max(agreement))]
    assert CANDIDATES[found.chosen[0]] == CANDIDATES[::-1][found.chosen[1]] == best
    assert found.columns["bleu"][0] == pytest.approx(bleu(best, REFERENCE))
    assert found.columns["bleu_of_all"][0] == pytest.approx(np.mean([bleu(one, REFERENCE) for one in CANDIDATES]))
    assert found.columns["words"].tolist() == [len(best)] * 2


def test_diffuseqs_bleu_swaps_hypothesis_and_reference_on_its_own_words() -> None:
    found = score(answers())
    spaced = [[" ".join(each).replace(" .", ".").split() for each in row] for row in (CANDIDATES, [REFERENCE])]
    best = spaced[0][found.diffuseq_chosen[0]]
    assert found.columns["diffuseq_bleu"][0] == pytest.approx(bleu(spaced[1][0], best))
    assert found.columns["diffuseq_dist_1"][0] == pytest.approx(len(set(best)) / len(best))
    assert found.columns["diffuseq_bleu"][0] != pytest.approx(found.columns["bleu"][0], rel=1e-3)


def test_a_ranked_system_answers_with_its_first_candidate() -> None:
    found = score(answers(ranked=True))
    assert found.chosen == found.diffuseq_chosen == [0, 0]
    assert found.columns["bleu"].tolist() == [bleu(CANDIDATES[0], REFERENCE), bleu(CANDIDATES[2], REFERENCE)]


def test_candidates_without_four_words_have_no_diversity_for_us_and_none_for_diffuseq_is_zero() -> None:
    short = Answers([REFERENCE, REFERENCE], [[["yes"], ["no"]], [list("abcde"), list("abcde")]])
    found = score(short)
    assert np.isnan(found.columns["div_4"]).tolist() == [True, False]
    assert found.columns["diffuseq_div_4"].tolist() == [0.0, 0.5]
    told = summary(found, seed=0, resamples=10)
    assert told["div_4"]["value"] == 0.5
    assert told["without_four_grams"] == 1


def test_empty_candidates_are_counted_and_have_no_part_in_self_bleu() -> None:
    one, other = CANDIDATES[:2]
    found = score(Answers([REFERENCE] * 3, [[one, [], other], [[], one, []], [[], [], []]]))
    assert found.columns["self_bleu"][0] == pytest.approx((bleu(one, other) + bleu(other, one)) / 2)
    assert np.isnan(found.columns["self_bleu"]).tolist() == [False, True, True]
    told = summary(found, seed=0, resamples=5)
    assert told["self_bleu"]["value"] == pytest.approx(found.columns["self_bleu"][0])
    assert (told["num_candidates"], told["empty_candidates"], told["without_two_texts"]) == (9, 6, 2)
    assert told["empty"] == 1  # the choice takes an empty one only where all are
    assert told["without_four_grams"] == 1
    silent = summary(score(Answers([REFERENCE] * 2, [[[], []], [[], ["a"]]])), seed=0, resamples=5)
    assert not {"self_bleu", "div_4"} & set(silent)


def test_one_candidate_has_quality_and_no_diversity() -> None:
    found = score(Answers([REFERENCE], [[REFERENCE]]))
    assert not {"self_bleu", "div_4", "diffuseq_self_bleu", "diffuseq_div_4"} & set(found.columns)
    assert found.columns["bleu"][0] == found.columns["rouge_l"][0] == found.corpus_bleu == 1.0


def test_an_empty_answer_scores_nothing_and_breaks_nothing() -> None:
    found = score(Answers([REFERENCE], [[[], []]]))
    told = summary(found, seed=0, resamples=5)
    assert told["bleu"]["value"] == told["diffuseq_bleu"]["value"] == told["rouge_l"]["value"] == 0
    assert told["distinct_1"] is None
    assert told["empty"] == 1


def test_differences_are_paired_by_source_and_over_those_that_both_have() -> None:
    one = {"bleu": np.array([0.5, 0.6, 0.7]), "div_4": np.array([1.0, np.nan, 0.5])}
    other = {"bleu": np.array([0.4, 0.5, 0.6]), "div_4": np.array([0.5, 0.5, 0.5]), "self_bleu": np.ones(3)}
    (row,) = contrasts({"one": one, "other": other}, seed=0, resamples=50)
    assert row["bleu"] == pytest.approx(
        {"value": 0.1, "low": 0.1, "high": 0.1, "sources": 3}
    )  # the spread of sources cancels
    assert row["div_4"]["value"] == pytest.approx(0.25)
    assert row["div_4"]["sources"] == 2
    assert "self_bleu" not in row
    assert set(row) - {"one", "other"} <= set(SCORES)
    assert mean(one["div_4"]) == 0.75


def test_seeds_of_a_row_and_of_two_are_told_by_their_means() -> None:
    systems = {name: {"bleu": np.array([value, value + 0.2])} for name, value in zip("abcdef", range(6), strict=True)}
    groups = {"a": {0: "a", 1: "b", 2: "c"}, "d": {0: "d", 1: "e", 2: "f"}, "e": {0: "e", 1: "f"}}
    found = told(groups["a"], systems)
    assert found["bleu"]["values"] == pytest.approx([0.1, 1.1, 2.1])
    apart = spread("a", "d", groups, systems)
    assert apart is not None
    assert apart["bleu"]["values"] == pytest.approx([-3.0] * 3)
    assert spread("a", "e", groups, systems) is None


def test_a_score_that_a_seed_has_at_no_source_is_told_of_none() -> None:
    systems = {name: {"bleu": np.ones(2), "div_4": np.array([np.nan, 0.5])} for name in "abcdef"}
    systems["c"]["div_4"] = np.full(2, np.nan)
    groups = {"a": {0: "a", 1: "b", 2: "c"}, "d": {0: "d", 1: "e", 2: "f"}}
    assert "div_4" not in told(groups["a"], systems)
    assert told(groups["d"], systems)["div_4"]["values"] == [0.5] * 3
    apart = spread("a", "d", groups, systems)
    assert apart is not None
    assert apart["bleu"]["values"] == [0.0] * 3
    assert "div_4" not in apart


def test_seeds_of_nats_are_told_without_texts() -> None:
    columns = {"valid": np.array([1.0, 2.0]), "words": np.array([1.0, 1.0])}
    nats = dict.fromkeys("abcdef", columns)
    groups = {"a": {0: "a", 1: "b", 2: "c"}, "d": {0: "d", 1: "e", 2: "f"}}
    assert "bleu4" not in seeds.told(groups["a"], nats, {})
    apart = seeds.spread("a", "d", groups, nats, {})
    assert apart is not None
    assert "bleu4" not in apart
    assert apart["difference_nats_per_sentence"]["values"] == [0.0, 0.0, 0.0]


def test_every_score_that_is_told_has_a_signature() -> None:
    names = set(summary(score(answers()), 0, 5))
    told_of = signatures(num_sources=2, num_candidates=3, seed=7, rule="mbr", encoder=None)
    counts = {"mean_words", "empty", "num_candidates", "empty_candidates", "without_two_texts"}
    counts |= {"without_four_grams", "chosen_otherwise_by_diffuseq"}
    assert names - counts == set(told_of)
    alone = signatures(num_sources=2, num_candidates=1, seed=7, rule="mbr", encoder="tiny")
    assert set(told_of) - set(alone) == {"self_bleu", "div_4", "diffuseq_self_bleu", "diffuseq_div_4"}
    assert "under tiny" in alone["bertscore"]["note"]
    assert told_of["bleu"]["text"] == "bleu|tok:bert-basic|case:lower|n:4|smooth:method4|refs:1|samples:2|seed:7|v:2"


def test_a_score_bears_the_version_of_the_choice_that_it_rests_on() -> None:
    of_rule = {rule: signatures(2, 3, seed=7, rule=rule, encoder="tiny") for rule in ("mbr", "released")}
    second = {name for name, each in of_rule["mbr"].items() if each["version"] == "2"}
    assert second == {"bleu", "median_bleu", "corpus_bleu", "rouge_l", "distinct_1", "bertscore"}
    assert {each["version"] for each in of_rule["released"].values()} == {"1"}
    assert "not empty" in of_rule["mbr"]["bleu"]["note"]
    assert "not empty" not in of_rule["released"]["bleu"]["note"]


def test_the_median_is_not_lifted_by_a_few_sources() -> None:
    alone = [REFERENCE[::-1]]
    found = summary(score(Answers([REFERENCE] * 3, [alone, alone, [REFERENCE]])), seed=0, resamples=5)
    assert found["median_bleu"] == pytest.approx(bleu(REFERENCE[::-1], REFERENCE))
    assert found["bleu"]["value"] == pytest.approx((2 * found["median_bleu"] + 1) / 3)


def test_without_near_copies_every_system_is_scored_on_the_sources_that_have_none() -> None:
    nearest = np.array([0.1, 0.5, 0.499, 1.0])
    told = near_copies(nearest, {"nearest": nearest, "a": np.array([0.2, 0.9, 0.4, 0.9])}, seed=0, resamples=20)
    assert (told["sources"], told["least_bleu"]) == (2, 0.5)
    assert told["bleu"]["a"]["value"] == pytest.approx(0.3)
    assert told["bleu"]["nearest"]["value"] == pytest.approx((0.1 + 0.499) / 2)
    every = near_copies(np.ones(2), {"a": np.ones(2)}, seed=0, resamples=20)
    assert every == {"least_bleu": 0.5, "sources": 2, "bleu": {}}


def test_systems_that_answered_different_sources_are_refused() -> None:
    with pytest.raises(ValueError, match="one and two answered different sources"):
        same_sources({"one": ["a", "b"], "two": ["a", "c"]})


def test_the_nearest_text_shares_rare_words_and_ties_go_to_the_first() -> None:
    index = Index.of([["the", "cat"], ["the", "dog"], ["the", "dog"], ["the", "the", "the"]])
    assert index.nearest(["the", "dog"]) == [1]
    assert index.nearest(["a", "dog"], 2) == [1, 2]
    assert index.nearest(["unknown"]) == [0]
    assert index.nearest([], 9) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="no texts"):
        Index.of([])


def test_bertscore_matches_greedily_and_leaves_special_tokens_out_of_the_mean() -> None:
    """Angles: text 0 and 60 degrees, reference 0 and 90; the token at 45 degrees is special, matched and not counted.

    P = (cos 0 + max(cos 60, cos 30, cos 15)) / 2 = (1 + cos 15) / 2; R = (cos 0 + max(cos 90, cos 30)) / 2.
    """

    def at(*degrees: float) -> np.ndarray:
        angles = np.deg2rad(np.array(degrees))
        return (3.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)

    text = Encoded.of(at(0, 60), np.array([True, True]))
    reference = Encoded.of(at(0, 90, 45), np.array([True, True, False]))
    precision = (1 + np.cos(np.deg2rad(15))) / 2
    recall = (1 + np.cos(np.deg2rad(30))) / 2
    assert bertscore(text, reference) == pytest.approx(2 * precision * recall / (precision + recall), rel=1e-6)
    nothing = Encoded.of(at(45), np.array([False]))
    assert bertscore(nothing, reference) == bertscore(reference, nothing) == 0.0
