"""What BLEU makes of the same samples under other conventions."""

from __future__ import annotations

import json

import numpy as np

from diffusionbert.corpus.tokenizers import decode_tokens
from diffusionbert.deviations.figures import RESAMPLES, Array, Figures, exact, of_interval
from diffusionbert.deviations.ground import LINEAR, SPINDLE, Ground
from diffusionbert.metrics.bleu import bleu, self_bleu
from diffusionbert.metrics.diversity import token_entropy
from diffusionbert.metrics.perplexity import mean_interval, paired
from diffusionbert.words import split_cased, split_words

BLEU, SELF_BLEU = "BLEU-4", "Self-BLEU-4"
Words = list[list[str]]


def _test_text(ground: Ground) -> list[str]:
    folder = ground.results / "corpus" / "text"
    paths = sorted(folder.glob("test-*-of-*.txt"))
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").split("\n") if line]
    if not lines:
        raise ValueError(f"{folder}: no text of the test split; expected the files of the corpus stage")
    return lines


def references(ground: Ground) -> Words:
    """Every test sentence, as this project scores."""
    return [split_words(text) for text in _test_text(ground)]


def scores_of(ground: Ground, key: str, what: str, words: Words, real: Words) -> Figures:
    """BLEU, Self-BLEU and entropy of one set of samples."""
    over = f"{len(words)} samples, {len(real)} references"

    def mean(values: Array, unit: str, name: str, over: str) -> Figures:
        interval = mean_interval(values, np.random.default_rng(ground.seed), RESAMPLES)
        return {f"{key}_{name}": of_interval(what, unit, interval, over)}

    return {
        **mean(bleu(words, real), BLEU, "bleu", over),
        **mean(self_bleu(words), SELF_BLEU, "self_bleu", f"{len(words)} samples"),
        f"{key}_entropy": exact(what, "nats, entropy of words", token_entropy(words), f"{len(words)} samples"),
    }


def _samples(ground: Ground, name: str) -> list[list[int]]:
    """The half of an arm's samples that BLEU is taken of, as tokens."""
    path = ground.results / "sample" / name / "samples.jsonl"
    rows = [json.loads(line)["tokens"] for line in path.read_text(encoding="utf-8").splitlines()]
    return rows[: len(rows) // 2]


def measure_case(ground: Ground) -> Figures:
    text = _test_text(ground)
    cased, lowered = [split_cased(line) for line in text], [split_words(line) for line in text]
    return _conventions(ground, {"cased": ("cased references", cased), "lowered": ("lower-cased references", lowered)})


def _conventions(ground: Ground, ways: dict[str, tuple[str, Words]]) -> Figures:
    """The same samples, split by this project's rule, against references of either kind."""
    figures: Figures = {}
    for arm, name in (("linear", LINEAR), ("spindle", SPINDLE)):
        texts = decode_tokens(ground.shards.tokenizer_folder, _samples(ground, name))
        words = [split_words(each) for each in texts]
        scores = {key: bleu(words, real) for key, (_, real) in ways.items()}
        figures |= _both(ground, arm, {key: what for key, (what, _) in ways.items()}, scores)
    return figures


def _both(ground: Ground, arm: str, told: dict[str, str], scores: dict[str, Array]) -> Figures:
    """Each way's score, and the paired difference of the first from the second."""
    (first, of_first), (_, of_second) = scores.items()
    over = f"{len(of_first)} samples of the run, {len(ground.shards['test'])} references"
    figures = {
        f"{arm}_{key}": of_interval(
            f"{arm} arm: {told[key]}",
            BLEU,
            mean_interval(values, np.random.default_rng(ground.seed), RESAMPLES),
            over,
        )
        for key, values in scores.items()
    }
    ones = np.ones(len(of_first))
    difference = paired(of_first, of_second, ones, np.random.default_rng(ground.seed), RESAMPLES).difference
    figures[f"{arm}_difference"] = of_interval(f"{arm} arm: {told[first]}, difference", BLEU, difference, over)
    return figures


def measure_mismatch(ground: Ground) -> Figures:
    """Both sides as the release has them (cased and split at spaces; decoded, lower-cased, split), against ours."""
    text = _test_text(ground)
    theirs, ours = [line.split() for line in text], [split_words(line) for line in text]
    # LM1B is stored with its punctuation split off: references of that kind are cased words here
    stored = [split_cased(line) for line in text]
    figures: Figures = {}
    for arm, name in (("linear", LINEAR), ("spindle", SPINDLE)):
        texts = decode_tokens(ground.shards.tokenizer_folder, _samples(ground, name))  # joins punctuation
        joined, split = [each.lower().split() for each in texts], [split_words(each) for each in texts]
        told = {"released": "as the release", "ours": "ours"}
        figures |= _both(ground, arm, told, {"released": bleu(joined, stored), "ours": bleu(split, ours)})
        raw = mean_interval(bleu(joined, theirs), np.random.default_rng(ground.seed), RESAMPLES)
        over = figures[f"{arm}_ours"].over
        what = f"{arm} arm: as the release, references with punctuation joined as this corpus has it"
        figures[f"{arm}_joined"] = of_interval(what, BLEU, raw, over)
    return figures
