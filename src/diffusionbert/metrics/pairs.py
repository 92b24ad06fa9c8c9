"""Generated targets of pairs scored: quality of the chosen candidate, diversity of the candidates of one source.

Two ways of counting stand side by side: ours, and that of DiffuSeq's script (`metrics.diffuseq`), which has its own
words, its own choice among the candidates, and hypothesis and reference swapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusionbert.metrics.candidates import Rule, choice, distinct_share, pairwise_bleu, self_bleu
from diffusionbert.metrics.diffuseq import alphanumeric_words, spaced_words
from diffusionbert.metrics.perplexity import mean_interval
from diffusionbert.metrics.rouge import rouge_l, rouge_words
from diffusionbert.metrics.sentence_bleu import Counted, corpus_bleu, sentence_bleu

Words = list[str]
Array = NDArray[np.float64]

OURS = ("bleu", "rouge_l", "self_bleu", "div_4")
DIFFUSEQ = ("diffuseq_bleu", "diffuseq_rouge_l", "diffuseq_dist_1", "diffuseq_self_bleu", "diffuseq_div_4")
SCORES = (*OURS, "bleu_of_all", "bertscore", *DIFFUSEQ)


@dataclass(frozen=True)
class Answers:
    """One system's candidates for every source, and the reference of each, as words.

    `ranked`: the first candidate is the answer (a nearest neighbour); else the candidates choose among themselves.
    """

    references: list[Words]
    candidates: list[list[Words]]
    ranked: bool = False


@dataclass(frozen=True)
class Scored:
    """A system's scores by source, and what was chosen for each."""

    columns: dict[str, Array]
    chosen: list[int]
    diffuseq_chosen: list[int]
    corpus_bleu: float
    distinct_1: float | None
    num_candidates: int  # of all sources together
    empty_candidates: int

    @property
    def num_words(self) -> float:
        return float(self.columns["words"].mean())


def score(answers: Answers, rule: Rule = "mbr") -> Scored:
    """Every score of every source; `rule` is how our own choice is made."""
    counted = [[Counted.of(words) for words in row] for row in answers.candidates]
    references = [Counted.of(words) for words in answers.references]
    chosen = [0 if answers.ranked else choice(row, rule) for row in counted]
    best = [row[number] for row, number in zip(counted, chosen, strict=True)]
    texts = [row[number] for row, number in zip(answers.candidates, chosen, strict=True)]
    several = min(len(row) for row in counted) > 1
    columns = {
        "words": [float(len(words)) for words in texts],
        "bleu": [sentence_bleu(one, [other]) for one, other in zip(best, references, strict=True)],
        "bleu_of_all": [
            float(np.mean([sentence_bleu(one, [other]) for one in row]))
            for row, other in zip(counted, references, strict=True)
        ],
        "rouge_l": [
            rouge_l(rouge_words(one), rouge_words(other)) for one, other in zip(texts, answers.references, strict=True)
        ],
    }
    if several:
        columns["self_bleu"] = [_or(_self_bleu_of_texts(row), np.nan) for row in counted]
        columns["div_4"] = [_or(distinct_share(row, 4), np.nan) for row in counted]
    theirs, diffuseq_chosen = _as_diffuseq(answers, several)
    return Scored(
        {name: np.array(values) for name, values in (columns | theirs).items()},
        chosen,
        diffuseq_chosen,
        corpus_bleu(best, references),
        distinct_share(best, 1),
        sum(len(row) for row in counted),
        sum(not words for row in answers.candidates for words in row),
    )


def _self_bleu_of_texts(row: list[Counted]) -> float | None:
    """Self-BLEU of the candidates that are not empty; None with fewer than two, which differ from nothing."""
    texts = [each for each in row if each.length]
    return self_bleu(texts) if len(texts) > 1 else None


def _as_diffuseq(answers: Answers, several: bool) -> tuple[dict[str, list[float]], list[int]]:
    counted = [[Counted.of(spaced_words(words)) for words in row] for row in answers.candidates]
    references = [Counted.of(spaced_words(words)) for words in answers.references]
    chosen = [0 if answers.ranked else choice(row, "diffuseq") for row in counted]
    best = [row[number] for row, number in zip(counted, chosen, strict=True)]
    texts = [row[number] for row, number in zip(answers.candidates, chosen, strict=True)]
    columns = {
        "diffuseq_bleu": [sentence_bleu(other, [one]) for one, other in zip(best, references, strict=True)],
        "diffuseq_rouge_l": [
            rouge_l(alphanumeric_words(one), alphanumeric_words(other))
            for one, other in zip(texts, answers.references, strict=True)
        ],
        "diffuseq_dist_1": [_or(distinct_share([one], 1), 0.0) for one in best],
    }
    if several:
        columns["diffuseq_self_bleu"] = [pairwise_bleu(row) for row in counted]
        columns["diffuseq_div_4"] = [_or(distinct_share(row, 4), 0.0) for row in counted]
    return columns, chosen


def summary(scored: Scored, seed: int, resamples: int) -> dict[str, Any]:
    """A system's scores as they are told: means over sources with intervals, and those of the whole set without."""
    told: dict[str, Any] = {
        name: mean_interval(held, np.random.default_rng(seed), resamples).as_dict()
        for name, values in scored.columns.items()
        if name in SCORES and len(held := values[~np.isnan(values)])
    }
    left_out = {name: int(np.isnan(values).sum()) for name, values in scored.columns.items()}
    return told | {
        "median_bleu": float(np.median(scored.columns["bleu"])),
        "corpus_bleu": scored.corpus_bleu,
        "distinct_1": scored.distinct_1,
        "mean_words": scored.num_words,
        "empty": int((scored.columns["words"] == 0).sum()),
        "num_candidates": scored.num_candidates,
        "empty_candidates": scored.empty_candidates,
        "without_two_texts": left_out.get("self_bleu", 0),
        "without_four_grams": left_out.get("div_4", 0),
        "chosen_otherwise_by_diffuseq": sum(
            one != other for one, other in zip(scored.chosen, scored.diffuseq_chosen, strict=True)
        ),
    }


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
