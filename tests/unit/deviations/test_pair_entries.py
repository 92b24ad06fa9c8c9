"""The entries on pairs, on candidates of the test's own: against nltk, or a value by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nltk.translate.bleu_score import SmoothingFunction
from nltk.translate.bleu_score import sentence_bleu as nltk_bleu
from torch import Tensor

from diffusionbert.arms import diffusion_lm
from diffusionbert.arms.build import vocabulary_of
from diffusionbert.config import load
from diffusionbert.corpus.shards import Shards
from diffusionbert.denoisers import backbone
from diffusionbert.deviations.__main__ import main
from diffusionbert.deviations.figures import Figures
from diffusionbert.deviations.ground import LINEAR, SPINDLE, Effort, Ground
from diffusionbert.deviations.old_smoothing import old_choice, old_sentence_bleu, smoothed
from diffusionbert.deviations.pair_catalogue import PAIR_ENTRIES
from diffusionbert.deviations.pair_choices import measure_candidates, measure_choice, measure_pairwise
from diffusionbert.deviations.pair_clamp import measure_clamp
from diffusionbert.deviations.pair_ground import PairGround, lacks
from diffusionbert.deviations.pair_rows import end_or_not, measure_ends, measure_spindle_of_pairs
from diffusionbert.deviations.pair_scores import (
    measure_distinct,
    measure_smoothing_of_pairs,
    measure_spaces,
    measure_swapped,
)
from diffusionbert.deviations.pair_script import measure_script
from diffusionbert.deviations.pair_start import measure_start
from diffusionbert.diffusion.bound import Step, negative_log_prediction
from diffusionbert.diffusion.schedules import Linear
from diffusionbert.files import sha256, sum_key, write_json, write_text
from diffusionbert.metrics.sentence_bleu import Counted
from diffusionbert.stages.compute import Machine
from diffusionbert.tables import write_table
from unit import small_arms
from unit.small_arms import information_of, small_arm

ROOT = Path(__file__).parents[3]
REFERENCES = ["He went to the old house.", "They saw a green hill.", "She came to the river bank, alone."]
SOURCES = ["And he went unto the old house.", "And they saw a green hill.", "She came to the river bank, alone."]
TEXTS = {
    LINEAR: [
        ["he went to the house .", "he came to the old house .", "the old house was there"],
        ["", "a green hill", "they saw a hill ."],
        ["she came to the river .", "she", "the river bank , she said"],
    ],
    SPINDLE: [["he went to the old house ."] * 3, ["they saw a green hill ."] * 3, ["", "", "she"]],
    "gpt": [["", "", ""], ["", "the the the", ""], ["", "", ""]],
}
LENGTHS = {LINEAR: [[6, 7, 5], [0, 3, 5], [6, 12, 6]], SPINDLE: [[7] * 3, [6] * 3, [0, 0, 1]], "gpt": [[0] * 3] * 3}
NATS = {LINEAR: [10.0, 12.0, 14.0], SPINDLE: [11.0, 14.0, 14.0]}
WORDS = [7, 6, 9]


def _write(results: Path, texts: dict[str, list[list[str]]]) -> None:
    for row, held in texts.items():
        lines = [
            {"source": SOURCES[place], "target": target, "candidates": candidates, "lengths": lengths}
            for place, (target, candidates, lengths) in enumerate(zip(REFERENCES, held, LENGTHS[row], strict=True))
        ]
        path = results / "sample" / row / "candidates.jsonl"
        write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
        write_json(path.with_name("metrics.json"), {sum_key(path): sha256(path)})
    for row, nats in NATS.items():
        columns: dict[str, Any] = {"sentence": [0, 1, 2], "words": WORDS, "tokens": WORDS, "valid": nats}
        write_table(results / "evaluate" / row / "sentences.parquet", columns)


@pytest.fixture
def ground(tmp_path: Path) -> PairGround:
    params = load(ROOT / "profiles" / "default.yaml")
    tokenize = params.tokenize.model_copy(update={"target_length": "padded", "max_target": 12})
    arms = {row: params.arms[row] for row in TEXTS}
    _write(tmp_path, TEXTS)
    return PairGround(
        params.model_copy(update={"arms": arms, "tokenize": tokenize}),
        tmp_path,
        Machine(torch.device("cpu"), "float32", 1),
        Effort(sentences=6, strata=2, spread_sentences=5),
    )


@pytest.fixture
def pair_run(ground: PairGround, pair_shards: Path) -> PairGround:
    """With a small arm over the generated pairs in the place of a trained one."""
    shards = Shards.open(pair_shards)
    arm = small_arm(shards, small_arms.LINEAR | {"num_steps": 16}, seed=1)
    arm.module.eval()
    held = {"shards": shards, "table": information_of(shards), "_arms": {LINEAR: arm}}
    evaluate = ground.params.evaluate.model_copy(update={"batch_size": 3})
    found = replace(ground, params=ground.params.model_copy(update={"evaluate": evaluate}))
    for run in (found.run, found.few):
        run.__dict__.update(held)
    _add_diffuseq(found, shards)
    counts = {"tokens": {"test": 200}, "given": {"test": 80}, "ends": {"test": 30}, "sentences": {"test": 10}}
    write_json(found.results / "tokenize" / found.params.arms[LINEAR].tokenizer / "metrics.json", counts)
    return found


def _add_diffuseq(ground: PairGround, shards: Shards) -> None:
    """A trained arm of DiffuSeq's beside the linear one; it has no row of its own among the candidates."""
    vocabulary = vocabulary_of(shards, information_of(shards))
    torch.manual_seed(0)
    model = backbone.fresh(small_arms.SHAPE, vocabulary.size)
    settings = diffusion_lm.Settings(
        init="random", schedule="sqrt", num_steps=16, embedding_size=8, sampling_steps=4, partial_noising=True
    )
    arm = diffusion_lm.DiffusionLM(settings, model, vocabulary, shards.tokenizer_folder)
    arm.start()
    arm.module.eval()
    ground.__dict__["diffuseq"] = ("DiffuSeq", arm)


def _nltk(hypothesis: str, reference: str) -> float:
    return float(nltk_bleu([reference.split()], hypothesis.split(), smoothing_function=SmoothingFunction().method4))


def _split(text: str) -> str:
    """Our words of these texts, with spaces between."""
    return text.lower().replace(".", " .").replace(",", " ,").replace("  ", " ")


def _joined(text: str) -> str:
    """DiffuSeq's words of these texts."""
    return _split(text).replace(" .", ".").replace(" ,", ",")


def _chosen(texts: list[str], score: Any) -> str:
    """By brute force: the first text with the largest sum of scores."""
    return max(texts, key=lambda one: score(texts, texts.index(one)))


def _mbr(texts: list[str], place: int) -> tuple[float, bool]:
    """Of equal sums that of a text that is not empty."""
    agreement = sum(_nltk(texts[place], other) for number, other in enumerate(texts) if number != place)
    return round(agreement, 12), bool(texts[place])


def _swapped(texts: list[str], place: int) -> float:
    return round(sum(_nltk(other, texts[place]) for number, other in enumerate(texts) if number != place), 12)


def _with_itself(texts: list[str], place: int) -> float:
    return round(sum(_nltk(other, texts[place]) for other in texts), 12)


def test_swapped_bleu_is_nltks_with_its_arguments_swapped(ground: PairGround) -> None:
    found = measure_swapped(ground)
    texts = [_chosen(row, _mbr) for row in TEXTS[LINEAR]]
    pairs = [(text, _split(reference)) for text, reference in zip(texts, REFERENCES, strict=True)]
    plain = np.mean([_nltk(text, reference) for text, reference in pairs])
    swapped = np.mean([_nltk(reference, text) for text, reference in pairs])
    assert plain != pytest.approx(swapped)
    assert found[f"{LINEAR}_plain"].value == pytest.approx(plain)
    assert found[f"{LINEAR}_swapped"].value == pytest.approx(swapped)
    assert found[f"{LINEAR}_swapped_difference"].value == pytest.approx(swapped - plain)
    assert found[f"{LINEAR}_words"].value == np.mean([len(text.split()) for text in texts])
    assert found["words"].value == (7 + 6 + 9) / 3
    assert found["gpt_plain"].value == found["gpt_swapped"].value == 0


def test_texts_split_on_spaces_are_scored_as_nltk_does(ground: PairGround) -> None:
    found = measure_spaces(ground)
    texts = [_chosen(row, _mbr) for row in TEXTS[LINEAR]]
    spaced = [_nltk(_joined(text), _joined(reference)) for text, reference in zip(texts, REFERENCES, strict=True)]
    assert found[f"{LINEAR}_spaced"].value == pytest.approx(np.mean(spaced))
    assert found[f"{LINEAR}_split"].value == measure_swapped(ground)[f"{LINEAR}_plain"].value
    assert (found["words_split"].value, found["words_spaced"].value) == ((7 + 6 + 9) / 3, (6 + 5 + 7) / 3)


# What nltk 3.5 itself gives (Python 3.11), hypothesis first.
NLTK_3_5 = [
    ("the cat sat on the mat", "the cat sat on a mat", 0.537284965911771),
    ("a b", "a c d", 2.689219491094516),
    ("the dog ran", "a dog ran away home", 1.0346039206186775),
    ("x y z w v u t s", "x p y q z", 0.6167777926713333),
    ("a b c d e", "a b c d e", 1.0),
    ("a x", "a", 4.433773376548903),
    ("", "a b", 0.0),
    ("q r", "a b", 0.0),
    ("a", "b", 0.0),
]


@pytest.mark.parametrize(("hypothesis", "reference", "expected"), NLTK_3_5)
def test_the_old_formula_is_that_of_nltk_3_5(hypothesis: str, reference: str, expected: float) -> None:
    found = old_sentence_bleu(Counted.of(hypothesis.split()), Counted.of(reference.split()))
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_old_formula_in_nltks_own_sum() -> None:
    """The smoothing of that version given to the nltk of today, on drawn texts."""

    def before(p_n: list[Any], hyp_len: int, **kwargs: Any) -> list[Any]:
        return [p if p.numerator else (i + 5 / np.log(hyp_len)) / p.denominator for i, p in enumerate(p_n)]

    rng = np.random.default_rng(0)
    differ = 0
    for _ in range(200):
        hypothesis, reference = (list(rng.choice(list("abcdef"), rng.integers(2, 9))) for _ in range(2))
        one, other = Counted.of(hypothesis), Counted.of(reference)
        expected = nltk_bleu([reference], hypothesis, smoothing_function=before)
        assert old_sentence_bleu(one, other) == pytest.approx(expected, rel=1e-12)
        today = _nltk(" ".join(hypothesis), " ".join(reference))
        assert smoothed(one, other) == (expected != pytest.approx(today, rel=1e-9))
        differ += smoothed(one, other)
    assert 0 < differ < 200


def test_where_the_old_nltk_ends_there_is_no_score() -> None:
    assert old_sentence_bleu(Counted.of(["a"]), Counted.of(["a", "b"])) is None


def test_scores_under_both_formulas(ground: PairGround) -> None:
    found = measure_smoothing_of_pairs(ground)
    joined = [[_joined(text) for text in row] for row in TEXTS[LINEAR]]
    texts = [_chosen(row, _swapped) for row in joined]
    pairs = [(_joined(reference), text) for text, reference in zip(texts, REFERENCES, strict=True)]
    old = [old_sentence_bleu(Counted.of(one.split()), Counted.of(other.split())) for one, other in pairs]
    assert found[f"{LINEAR}_new"].value == pytest.approx(np.mean([_nltk(*pair) for pair in pairs]))
    assert found[f"{LINEAR}_old"].value == pytest.approx(np.mean(old))
    assert found[f"{LINEAR}_left_out"].value == 1, "'she' is one word, and stands in the candidate before it"
    assert found["gpt_old"].value == 0


def test_self_bleu_under_both_formulas_leaves_out_what_ends_the_old_nltk(ground: PairGround) -> None:
    found = measure_smoothing_of_pairs(ground)
    kept = [[_joined(text) for text in row] for row in TEXTS[LINEAR][:2]]
    pairs = [list(combinations(row, 2)) for row in kept]
    new = np.mean([np.mean([_nltk(later, earlier) for earlier, later in row]) for row in pairs])
    assert found[f"{LINEAR}_self_new"].value == pytest.approx(new)
    assert found[f"{LINEAR}_self_old"].value > new
    assert found[f"{LINEAR}_self_new"].over == "2 sources"


def test_the_copy_is_the_source_itself(ground: PairGround) -> None:
    pairs = [(_split(source), _split(reference)) for source, reference in zip(SOURCES, REFERENCES, strict=True)]
    swapped = measure_swapped(ground)
    assert swapped["copy_plain"].value == pytest.approx(np.mean([_nltk(*pair) for pair in pairs]))
    assert swapped["copy_swapped"].value == pytest.approx(np.mean([_nltk(*pair[::-1]) for pair in pairs]))
    concerned = measure_smoothing_of_pairs(ground)["copy_concerned"].value
    assert concerned == pytest.approx(1 / 3), (
        "'the old house.' are three words in common in a row, the others have four"
    )
    assert not any(name.startswith("copy_self") for name in measure_smoothing_of_pairs(ground))


def _old(hypothesis: str, reference: str) -> float | None:
    return old_sentence_bleu(Counted.of(hypothesis.split()), Counted.of(reference.split()))


def test_the_choice_under_the_old_formula_is_brute_forces() -> None:
    rng = np.random.default_rng(0)
    other = 0
    for _ in range(100):
        texts = [" ".join(rng.choice(list("abcde"), rng.integers(2, 8))) for _ in range(3)]
        candidates = [Counted.of(text.split()) for text in texts]
        sums = [round(sum(_old(b, a) or 0 for b in texts if b is not a), 12) for a in texts]
        assert old_choice(candidates) == sums.index(max(sums))
        other += texts[sums.index(max(sums))] != _chosen(texts, _swapped)
    assert other > 0, "the formula moves some choice"
    assert old_choice([Counted.of(["a", "b"]), Counted.of(["a"])]) is None


def test_all_conventions_together_are_what_the_script_would_print(ground: PairGround) -> None:
    found = measure_script(ground)
    plain = measure_choice(ground)[f"{SPINDLE}_ours"]
    assert found[f"{SPINDLE}_ours"].value == plain.value, "nothing of this row ends the old nltk"
    joined = [[_joined(text) for text in row] for row in TEXTS[SPINDLE]]
    references = [_joined(reference) for reference in REFERENCES]
    script = [_nltk(one, _chosen(row, _swapped)) for one, row in zip(references, joined, strict=True)]
    assert found[f"{SPINDLE}_script"].value == pytest.approx(np.mean(script))
    kept = list(zip(TEXTS[LINEAR], references, strict=True))[:2]  # of the third source, 'she' ends that nltk
    old = []
    for row, reference in kept:
        texts = [_joined(text) for text in row]
        sums = [sum(_old(other, one) or 0 for other in texts if other is not one) for one in texts]
        old.append(_old(reference, texts[sums.index(max(sums))]))
    assert found[f"{LINEAR}_old"].value == pytest.approx(np.mean(old))
    assert found[f"{LINEAR}_old"].over == "2 sources"


def test_a_row_that_ends_the_old_nltk_everywhere_is_left_out(ground: PairGround) -> None:
    _write(ground.results, TEXTS | {"gpt": [["she", "she", "she"]] * 3})
    found = measure_script(ground)
    assert not any(name.startswith("gpt") for name in found)
    assert found["reversed_old"].over == "3 pairs of rows"
    smoothing = measure_smoothing_of_pairs(ground)
    assert smoothing["gpt_left_out"].value == 3
    assert "gpt_self_old" not in smoothing
    assert smoothing["gpt_old"].over == "3 sources", "no reference is one word"


def test_rows_that_change_places_are_counted(ground: PairGround) -> None:
    found = measure_script(ground)
    for key in ("script", "old"):
        ours, theirs = ([found[f"{row}_{way}"].value for row in (*TEXTS, "copy")] for way in ("ours", key))
        pairs = combinations(zip(ours, theirs, strict=True), 2)
        assert found[f"reversed_{key}"].value == sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in pairs)
        assert found[f"reversed_{key}"].over == "6 pairs of rows"


@pytest.mark.parametrize("row", [LINEAR, SPINDLE])
def test_choices_are_brute_forces(ground: PairGround, row: str) -> None:
    found = measure_choice(ground)
    chosen = {
        "ours": [_chosen(texts, _mbr) for texts in TEXTS[row]],
        "swapped": [_chosen(texts, _swapped) for texts in TEXTS[row]],
        "released": [_chosen(texts, _with_itself) for texts in TEXTS[row]],
    }
    bleu = {
        key: np.mean([_nltk(text, _split(reference)) for text, reference in zip(texts, REFERENCES, strict=True)])
        for key, texts in chosen.items()
    }
    assert found[f"{row}_ours"].value == pytest.approx(bleu["ours"])
    for key in ("swapped", "released"):
        assert found[f"{row}_{key}_difference"].value == pytest.approx(bleu[key] - bleu["ours"], abs=1e-12), key
    other = np.mean([one != two for one, two in zip(chosen["ours"], chosen["swapped"], strict=True)])
    itself = np.mean([one != two for one, two in zip(chosen["swapped"], chosen["released"], strict=True)])
    assert (found[f"{row}_other"].value, found[f"{row}_itself"].value) == (other, itself)


def test_some_rule_chooses_otherwise(ground: PairGround) -> None:
    found = measure_choice(ground)
    assert found[f"{LINEAR}_other"].value + found[f"{LINEAR}_itself"].value > 0
    assert found["gpt_itself"].value == pytest.approx(1 / 3), "'the the the' agrees a little with itself, '' not at all"


def test_fewer_candidates_are_all_ways_of_taking_them(ground: PairGround) -> None:
    found = measure_candidates(ground)
    rows = list(zip(TEXTS[LINEAR], [_split(reference) for reference in REFERENCES], strict=True))
    one = np.mean([[_nltk(text, reference) for text in texts] for texts, reference in rows])
    two = np.mean(
        [[_nltk(_chosen(list(pair), _mbr), reference) for pair in combinations(texts, 2)] for texts, reference in rows]
    )
    best = np.mean([max(_nltk(text, reference) for text in texts) for texts, reference in rows])
    for key, expected in (("one", one), ("two", two), ("best", best)):
        assert found[f"{LINEAR}_{key}"].value == pytest.approx(expected), key
    assert found[f"{LINEAR}_all"].value == measure_swapped(ground)[f"{LINEAR}_plain"].value


def test_distinct_words_of_each_text_and_of_all(ground: PairGround) -> None:
    found = measure_distinct(ground)
    references = [_split(reference).split() for reference in REFERENCES]
    together = [word for words in references for word in words]
    assert found["references_alone"].value == 1, "no reference says a word twice"
    assert found["references_pooled"].value == pytest.approx(len(set(together)) / len(together))
    assert found["references_half"].over == "1 sources"
    assert found["gpt_alone"].value == pytest.approx((0 + 1 / 3 + 0) / 3), "an empty text has no word"
    assert found["gpt_pooled"].value == pytest.approx(1 / 3)
    assert "gpt_half" not in found, "the text of the first source is empty"
    assert found[f"{LINEAR}_released"].value == pytest.approx((1 + 0 + 1) / 3)


def test_the_release_calls_a_source_with_an_empty_candidate_not_diverse(ground: PairGround) -> None:
    found = measure_distinct(ground)
    assert found[f"{SPINDLE}_released"].value == pytest.approx((1 + 1 + 0) / 3)
    assert found["gpt_released"].value == 0


def test_self_bleu_against_all_others_and_by_twos(ground: PairGround) -> None:
    found = measure_pairwise(ground)
    rows = [[text for text in texts if text] for texts in TEXTS[LINEAR]]
    later = [np.mean([_nltk(two, one) for one, two in combinations(row, 2)]) for row in rows]
    smooth = SmoothingFunction().method4
    others = [
        np.mean(
            [
                nltk_bleu([each.split() for each in row if each != one], one.split(), smoothing_function=smooth)
                for one in row
            ]
        )
        for row in rows
    ]
    for key, expected in (("later", later), ("others", others)):
        assert found[f"{LINEAR}_{key}"].value == pytest.approx(np.mean(expected)), key
    empty = [np.mean([_nltk(two, one) for one, two in combinations(texts, 2)]) for texts in TEXTS[LINEAR]]
    assert found[f"{LINEAR}_empty"].value == pytest.approx(np.mean(empty))
    assert (found["gpt_sources"].value, found[f"{SPINDLE}_sources"].value) == (0, 2)
    assert "gpt_others" not in found


def test_the_spindle_is_compared_on_the_same_targets(ground: PairGround) -> None:
    found = measure_spindle_of_pairs(ground)
    assert found["difference"].value == pytest.approx(1.0)
    assert found["ratio"].value == pytest.approx(np.exp(3 / sum(WORDS)))
    scores = measure_choice(ground)
    gained = scores[f"{SPINDLE}_ours"].value - scores[f"{LINEAR}_ours"].value
    assert found["bleu"].value == pytest.approx(gained)
    assert "one training seed" in found["bleu"].over


def test_how_candidates_end_is_counted(pair_run: PairGround) -> None:
    found = measure_ends(pair_run)
    assert found["ends"].value == 30 / (200 - 80)
    assert found[f"{LINEAR}_empty"].value == pytest.approx(1 / 9)
    assert found[f"{LINEAR}_kept"].value == pytest.approx(1 / 3)
    assert found["gpt_empty"].value == 1
    assert 0 < found["nats_ends"].value < found["nats"].value
    told = replace(pair_run, params=_given(pair_run))
    with pytest.raises(ValueError, match="target_length: found given; expected padded"):
        measure_ends(told)


def _given(ground: PairGround) -> Any:
    tokenize = ground.params.tokenize.model_copy(update={"target_length": "given"})
    return ground.params.model_copy(update={"tokenize": tokenize})


def test_saying_which_tokens_are_ends_is_what_is_left_when_words_are_told() -> None:
    """Two masked places, an end and a word, over three candidates and [MASK]; r = 1/2 at s = 1, t = 2."""
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25, 9.0], [0.2, 0.2, 0.6, 9.0]]))
    step = Step(
        x0=torch.tensor([[0, 1]]),
        counted=torch.ones(1, 2, dtype=torch.bool),
        masked=torch.ones(1, 2, dtype=torch.bool),
        s=torch.tensor([1]),
        t=torch.tensor([2]),
        logits=logits,
        candidates=torch.tensor([True, True, True, False]),
    )
    kinds = float(end_or_not(0)(step))
    assert kinds == pytest.approx(0.5 * (-np.log(0.5) - np.log(0.8)), rel=1e-6)
    words = -np.log(0.2 / 0.8)  # the word itself, among those that are no end
    assert kinds + 0.5 * words == pytest.approx(0.5 * float(negative_log_prediction(step).sum()), rel=1e-6)


def test_a_first_call_from_a_word_is_another(pair_run: PairGround) -> None:
    found = measure_start(pair_run)
    assert found["share"].value == 10 / 2000
    assert found["difference"].value == pytest.approx(found["word"].value - found["mask"].value)
    assert found["difference"].value != 0
    length = 12  # all targets are filled up
    assert found["cost"].value == pytest.approx(0.005 * length * found["difference"].value)


def test_a_first_call_from_masks_is_what_the_bound_says_at_t(pair_run: PairGround) -> None:
    run = pair_run.run
    num_steps = run.trained(LINEAR).num_steps
    linear = Linear(num_steps)
    nats = []
    for batch in run.batches:
        t = torch.full_like(batch.lengths, num_steps)
        draw = replace(run.draw(batch, 0, num_steps), s=t - 1, t=t)
        for step in run.trained(LINEAR).steps(batch, draw, linear):
            assert bool((step.masked == step.counted).all())
            nats.append(step.per_sentence(negative_log_prediction(step)).detach())
    expected = float(torch.cat(nats).sum()) / (12 * run.num_sentences)
    assert measure_start(pair_run)["mask"].value == pytest.approx(expected, rel=1e-6)


def test_what_the_clamp_does_is_told_of_the_same_arm_as_it_was(pair_run: PairGround) -> None:
    """One whose every prediction is nearest to the end writes nothing under the clamp, and keeps its settings."""
    _, arm = pair_run.diffuseq
    own, end = arm.settings, arm.vocabulary.sep_id
    weight = arm.denoiser.embedding.weight

    def middle(output: Tensor, xt: Tensor, t: Tensor, inner: Tensor | None = None) -> Tensor:
        return 0.02 * weight[end].expand_as(xt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arm, "predict", middle)
        patch.setattr(arm, "bias", lambda: torch.where(arm.vocabulary.candidates, 0.0, -torch.inf))
        with torch.no_grad():
            weight[end] *= 10 / weight[end].norm()
            found = measure_clamp(pair_run)
    assert arm.settings is own
    assert found["clamped_empty"].value == 1
    assert found["free_empty"].value < 1
    assert found["clamped_words"].value == 0 < found["free_words"].value
    assert {figure.over for figure in found.values()} == {"3 sources"}


@pytest.mark.parametrize("key", [entry.key for entry in PAIR_ENTRIES])
def test_every_entry_on_pairs_repeats(pair_run: PairGround, key: str) -> None:
    entry = next(each for each in PAIR_ENTRIES if each.key == key)
    first: Figures = entry.measure(pair_run)
    assert first == entry.measure(pair_run)


def test_candidates_that_cannot_be_compared_are_refused(ground: PairGround) -> None:
    _write(ground.results, {LINEAR: [["", "a"], ["", ""], ["", "b"]]})
    with pytest.raises(ValueError, match="no source with two texts"):
        _ = ground.candidates
    _write(ground.results, {row: [texts[:1] for texts in held] for row, held in TEXTS.items()})
    with pytest.raises(ValueError, match="one candidate a source; expected two at least"):
        _ = replace(ground).candidates
    arms = {name: arm for name, arm in ground.params.arms.items() if name != SPINDLE}
    with pytest.raises(ValueError, match=f"no {SPINDLE}; expected both"):
        _ = replace(ground, params=ground.params.model_copy(update={"arms": arms})).candidates


def test_what_a_run_lacks_is_the_first_missing_file(tmp_path: Path) -> None:
    assert lacks(tmp_path) == tmp_path / "params.yaml"
    write_text(tmp_path / "params.yaml", (ROOT / "profiles" / "default.yaml").read_text(encoding="utf-8"))
    for row in load(tmp_path / "params.yaml").arms:
        path = tmp_path / "sample" / row / "candidates.jsonl"
        assert lacks(tmp_path) == path
        write_text(path, "")
    for row in (LINEAR, SPINDLE):
        path = tmp_path / "evaluate" / row / "sentences.parquet"
        assert lacks(tmp_path) == path
        write_text(path, "")
    for row in (LINEAR, "diffusion_lm"):
        assert lacks(tmp_path) == tmp_path / "train" / row / "model"
        (tmp_path / "train" / row / "model").mkdir(parents=True)
    assert lacks(tmp_path) is None


def test_without_a_run_of_pairs_an_entry_that_is_asked_for_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--only", "swapped", "--pairs-results", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "params.yaml: no such file; expected a finished run of the profile pairs" in capsys.readouterr().err


def test_without_a_run_of_pairs_the_others_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All entries are asked for: those on pairs keep their figures, and one line says which."""
    measured = []
    monkeypatch.setattr(
        "diffusionbert.deviations.__main__.measure", lambda ground, entries, out: measured.append(ground)
    )
    document = tmp_path / "deviations.md"
    text = (ROOT / "docs" / "deviations.md").read_text(encoding="utf-8")
    document.write_text(text, encoding="utf-8")
    told = ["--params", str(ROOT / "profiles" / "default.yaml"), "--document", str(document)]
    assert main([*told, "--out", str(ROOT / "results" / "deviations"), "--pairs-results", str(tmp_path)]) == 0
    assert [type(ground) for ground in measured] == [Ground]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "these keep what was measured before: " + ", ".join(entry.key for entry in PAIR_ENTRIES) in said
    assert document.read_text(encoding="utf-8") == text
