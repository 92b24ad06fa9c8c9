"""All of DiffuSeq's conventions together: BLEU as here, and as its script gives it under either nltk."""

from __future__ import annotations

from collections.abc import Mapping
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
        kept = sorted(old)
        ways = {
            "ours": ("as here", bleu_of(ours.chosen(), ours.references)[kept]),
            "script": ("as DiffuSeq's script, nltk 3.6 and later", script[kept]),
            "old": ("as DiffuSeq's script, nltk before 3.6", np.array([old[number] for number in kept])),
        }
        figures |= ground.levels(row, BLEU, ways) | ground.differences(row, BLEU, ways)
    levels = {
        key: {row: figures[f"{row}_{key}"].value for row in ground.answers_and_copy}
        for key in ("ours", "script", "old")
    }
    for key, what in (("script", "nltk 3.6 and later"), ("old", "nltk before 3.6")):
        changed, pairs = _reversed(levels["ours"], levels[key]), len(list(combinations(levels["ours"], 2)))
        name = f"pairs of rows that stand the other way round, {what}"
        figures[f"reversed_{key}"] = exact(name, "pairs", changed, f"{pairs} pairs of rows")
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


def _reversed(one: Mapping[str, float], other: Mapping[str, float]) -> int:
    return sum((one[a] - one[b]) * (other[a] - other[b]) < 0 for a, b in combinations(one, 2))
