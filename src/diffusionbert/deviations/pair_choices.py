"""What the choice among the candidates of a source is worth, and how alike they are said to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from diffusionbert.deviations.figures import Array, Figures, exact
from diffusionbert.deviations.ground import SHARE
from diffusionbert.deviations.pair_ground import Answers, PairGround
from diffusionbert.deviations.pair_scores import BLEU, SELF_BLEU, bleu_of
from diffusionbert.metrics.candidates import choice, pairwise_bleu, self_bleu
from diffusionbert.metrics.sentence_bleu import Counted, sentence_bleu


def measure_choice(ground: PairGround) -> Figures:
    """The three rules on the same candidates: how often another text is chosen, and what it scores."""
    figures: Figures = {}
    for row, held in ground.answers.items():
        ours, theirs, released = held.chosen(), held.chosen("diffuseq"), held.chosen("released")
        label = held.label
        figures |= {
            f"{row}_other": ground.mean(f"{label}: another text, arguments swapped", SHARE, _differ(ours, theirs)),
            f"{row}_itself": ground.mean(
                f"{label}: another than that, each counted against itself too", SHARE, _differ(theirs, released)
            ),
        }
        ways = {
            "ours": ("chosen as here", bleu_of(ours, held.references)),
            "swapped": ("chosen with the arguments swapped", bleu_of(theirs, held.references)),
            "released": ("the same, each counted against itself too", bleu_of(released, held.references)),
        }
        figures |= ground.levels(row, BLEU, {"ours": ways["ours"]}) | ground.differences(row, BLEU, ways)
    return figures


def _differ(one: Sequence[Counted], other: Sequence[Counted]) -> Array:
    """1 where the texts differ; the same words at another place are no other text."""
    return np.array([float(mine != theirs) for mine, theirs in zip(one, other, strict=True)])


def measure_candidates(ground: PairGround) -> Figures:
    """BLEU of the text that fewer candidates choose, mean over all ways of taking so many; and of the best of all."""
    figures: Figures = {}
    for row, held in ground.answers.items():
        number = len(held.candidates[0])
        ways = {"one": ("one candidate, no choice", _of_several(held, 1))}
        if number > 2:
            ways["two"] = ("chosen among two", _of_several(held, 2))
        ways["all"] = (f"chosen among all {number}", _of_several(held, number))
        ways["best"] = (f"the best of all {number} by its reference", _best(held))
        figures |= ground.levels(row, BLEU, ways)
        figures |= ground.differences(row, BLEU, {key: ways[key] for key in ("one", "all")})
    return figures


def _of_several(held: Answers, number: int) -> Array:
    pairs = zip(held.candidates, held.references, strict=True)
    return np.array(
        [
            np.mean([sentence_bleu(some[choice(some)], [reference]) for some in combinations(candidates, number)])
            for candidates, reference in pairs
        ]
    )


def _best(held: Answers) -> Array:
    pairs = zip(held.candidates, held.references, strict=True)
    return np.array([max(sentence_bleu(one, [reference]) for one in several) for several, reference in pairs])


def measure_pairwise(ground: PairGround) -> Figures:
    """Self-BLEU of the same candidates: against all others, by twos, and by twos with empty texts among them."""
    figures: Figures = {}
    for row, held in ground.answers.items():
        texts = [[one for one in several if one.length] for several in held.candidates]
        several = [each for each in texts if len(each) > 1]
        over = f"{len(texts)} sources"
        what = f"{held.label}: sources with two texts that are not empty"
        figures[f"{row}_sources"] = exact(what, "sources", len(several), over)
        if several:
            ways = {
                "others": ("each against all the others (ours)", _each(several, self_bleu)),
                "later": ("of every two, the later against the earlier", _each(several, pairwise_bleu)),
            }
            figures |= ground.levels(row, SELF_BLEU, ways) | ground.differences(row, SELF_BLEU, ways)
        what = f"{held.label}: the same with empty texts, which score 0 (theirs)"
        figures[f"{row}_empty"] = ground.mean(what, SELF_BLEU, _each(held.candidates, pairwise_bleu))
    return figures


def _each(rows: Sequence[list[Counted]], of: Callable[[list[Counted]], float]) -> Array:
    return np.array([of(row) for row in rows])
