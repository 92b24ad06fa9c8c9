"""All of DiffuSeq's conventions together: BLEU as here, and as its script gives it under either nltk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from diffusionbert.deviations.figures import Figures, exact
from diffusionbert.deviations.old_smoothing import old_choice, old_sentence_bleu
from diffusionbert.deviations.pair_ground import Answers, PairGround
from diffusionbert.deviations.pair_scores import BLEU, bleu_of


def measure_script(ground: PairGround) -> Figures:
    """Words, choice, arguments and smoothing at once, and whether the rows keep their order."""
    figures: Figures = {}
    for row, ours in ground.answers_and_copy.items():
        theirs = ground.spaced_and_copy[row]
        script = bleu_of(theirs.references, theirs.chosen("diffuseq"))
        old = _under_old_nltk(theirs)
        if not (kept := sorted(old)):
            continue  # that nltk ends at every source of this row
        ways = {
            "ours": ("as here", bleu_of(ours.chosen(), ours.references)[kept]),
            "script": ("as DiffuSeq's script, nltk 3.6 and later", script[kept]),
            "old": ("as DiffuSeq's script, nltk before 3.6", np.array([old[number] for number in kept])),
        }
        figures |= ground.levels(row, BLEU, ways) | ground.differences(row, BLEU, ways)
    rows = [row for row in ground.answers_and_copy if f"{row}_old" in figures]
    levels = {key: [figures[f"{row}_{key}"].value for row in rows] for key in ("ours", "script", "old")}
    for key, what in (("script", "nltk 3.6 and later"), ("old", "nltk before 3.6")):
        name = f"pairs of rows that stand the other way round, {what}"
        changed, over = _reversed(levels["ours"], levels[key]), f"{math.comb(len(rows), 2)} pairs of rows"
        figures[f"reversed_{key}"] = exact(name, "pairs", changed, over)
    return figures


def _under_old_nltk(held: Answers) -> dict[int, float]:
    """Source -> its score, the choice made by the same formula; without sources at which that nltk ends."""
    found = {}
    for number, (candidates, reference) in enumerate(zip(held.candidates, held.references, strict=True)):
        chosen = old_choice(candidates)
        score = None if chosen is None else old_sentence_bleu(reference, candidates[chosen])
        if score is not None:
            found[number] = score
    return found


def _reversed(ours: Sequence[float], theirs: Sequence[float]) -> int:
    pairs = combinations(zip(ours, theirs, strict=True), 2)
    return sum((one[0] - other[0]) * (one[1] - other[1]) < 0 for one, other in pairs)
