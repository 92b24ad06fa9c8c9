"""What the same generated texts score when BLEU and dist-1 are taken as DiffuSeq's script takes them, one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffusionbert.deviations.figures import Array, Figures, exact
from diffusionbert.deviations.ground import LINEAR, SHARE
from diffusionbert.deviations.old_smoothing import old_sentence_bleu, smoothed
from diffusionbert.deviations.pair_ground import PairGround
from diffusionbert.metrics.candidates import choice, distinct_share, pairwise_bleu
from diffusionbert.metrics.sentence_bleu import Counted, sentence_bleu

BLEU, SELF_BLEU, WORDS, DIST_1 = "BLEU", "Self-BLEU", "words", "dist-1"


def bleu_of(texts: Sequence[Counted], references: Sequence[Counted]) -> Array:
    """Of each text against its reference, smoothed by method 4, (N,)."""
    return np.array([sentence_bleu(one, [other]) for one, other in zip(texts, references, strict=True)])


def _lengths(texts: Sequence[Counted]) -> Array:
    return np.array([float(each.length) for each in texts])


def measure_swapped(ground: PairGround) -> Figures:
    """The chosen texts against their references, and the references against the texts."""
    figures: Figures = {}
    for row, held in ground.answers_and_copy.items():
        texts = held.chosen()
        ways = {
            "plain": ("the text against the reference", bleu_of(texts, held.references)),
            "swapped": ("the reference against the text", bleu_of(held.references, texts)),
        }
        figures |= ground.levels(row, BLEU, ways) | ground.differences(row, BLEU, ways)
        figures[f"{row}_words"] = ground.mean(f"{held.label}: words of a text", WORDS, _lengths(texts))
    return figures | {"words": ground.mean("words of a reference", WORDS, _lengths(ground.references))}


def measure_spaces(ground: PairGround) -> Figures:
    """The same texts, chosen by our rule in our words, scored in either kind of words."""
    figures: Figures = {}
    told = {"split": "punctuation marks are words", "spaced": "split on spaces"}
    for row, ours in ground.answers_and_copy.items():
        theirs = ground.spaced_and_copy[row]
        chosen = [choice(candidates) for candidates in ours.candidates]
        ways = {}
        for key, held in (("split", ours), ("spaced", theirs)):
            texts = [candidates[number] for candidates, number in zip(held.candidates, chosen, strict=True)]
            ways[key] = (told[key], bleu_of(texts, held.references))
        figures |= ground.levels(row, BLEU, ways) | ground.differences(row, BLEU, ways)
    for key, held in (("split", ground.answers[LINEAR]), ("spaced", ground.spaced[LINEAR])):
        figures[f"words_{key}"] = ground.mean(f"a reference, {told[key]}", WORDS, _lengths(held.references))
    return figures


def measure_smoothing_of_pairs(ground: PairGround) -> Figures:
    """BLEU and Self-BLEU as DiffuSeq's script counts them, under the two formulas that nltk has had."""
    figures: Figures = {}
    for row, held in ground.spaced_and_copy.items():
        texts = held.chosen("diffuseq")
        pairs = list(zip(held.references, texts, strict=True))
        old = [old_sentence_bleu(*each) for each in pairs]
        kept = [number for number, value in enumerate(old) if value is not None]
        new = bleu_of(held.references, texts)[kept]
        before = np.array([old[number] for number in kept], dtype=np.float64)
        ways = {"new": ("BLEU, nltk 3.6 and later", new), "old": ("BLEU, nltk before 3.6", before)}
        figures |= ground.levels(row, BLEU, ways) | ground.differences(row, BLEU, ways)
        concerned = np.array([float(smoothed(*each)) for each in pairs])
        what = "texts that the formula concerns, some order having no match"
        figures[f"{row}_concerned"] = ground.mean(f"{held.label}: {what}", SHARE, concerned)
        if row in ground.spaced:
            figures |= _self_bleu(ground, row)
    return figures


def _self_bleu(ground: PairGround, row: str) -> Figures:
    """The later of every two candidates against the earlier; sources at which the old nltk ends are left out."""
    held = ground.spaced[row]
    old, new, left_out = [], [], 0
    for candidates in held.candidates:
        pairs = [
            old_sentence_bleu(later, earlier)
            for place, earlier in enumerate(candidates)
            for later in candidates[place + 1 :]
        ]
        if any(value is None for value in pairs):
            left_out += 1
            continue
        old.append(np.mean(np.array(pairs, dtype=np.float64)))
        new.append(pairwise_bleu(candidates))
    figures: Figures = {}
    if old:
        ways = {
            "self_new": ("Self-BLEU, nltk 3.6 and later", np.array(new)),
            "self_old": ("Self-BLEU, nltk before 3.6", np.array(old)),
        }
        figures = ground.levels(row, SELF_BLEU, ways)
    what = f"{held.label}: sources left out there, as a text of one word ends that nltk"
    figures[f"{row}_left_out"] = exact(what, "sources", left_out, f"{len(held.candidates)} sources")
    return figures


def measure_distinct(ground: PairGround) -> Figures:
    """Distinct words over words: of each text by itself, of all texts together, and as the release takes it."""
    figures: Figures = {}
    for row, held in ground.answers.items():
        figures |= _distinct(ground, row, held.label, held.chosen())
        released = np.array([_released(several) for several in held.candidates])
        what = f"{held.label}: of each candidate by itself, as the release has it"
        figures[f"{row}_released"] = ground.mean(what, DIST_1, released)
    return figures | _distinct(ground, "references", "references", ground.references)


def _released(candidates: Sequence[Counted]) -> float:
    """The mean over the candidates of a source, and 0 as soon as one of them is empty."""
    if not all(one.length for one in candidates):
        return 0.0
    return float(np.mean([_share([one]) for one in candidates]))


def _distinct(ground: PairGround, key: str, label: str, texts: Sequence[Counted]) -> Figures:
    each = np.array([_share([one]) for one in texts])
    figures = {f"{key}_alone": ground.mean(f"{label}: of each text by itself", DIST_1, each)}
    for name, told, some in (
        ("half", "of half of the texts together", texts[: len(texts) // 2]),
        ("pooled", "of all texts together", texts),
    ):
        if any(one.length for one in some):
            figures[f"{key}_{name}"] = exact(f"{label}: {told}", DIST_1, _share(some), f"{len(some)} sources")
    return figures


def _share(texts: Sequence[Counted]) -> float:
    """0 where there is no word, as DiffuSeq's script has it."""
    return distinct_share(texts, 1) or 0.0
