"""The K candidates for one source: which of them is chosen, and how varied they are.

Minimum Bayes risk: the candidate that the others agree with most,

    argmax_i sum_{j != i} BLEU(candidate i against candidate j as its reference),

of several equal ones the first that is not empty, so that an empty one is chosen only where all are. DiffuSeq and the
release of DiffusionBERT score the other way round, j against i, and take the first of several equal ones, empty or not;
the release moreover counts a candidate against itself, which only disfavours those of none, two or three words, as all
others score 1 against themselves.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from diffusionbert.metrics.sentence_bleu import Counted, sentence_bleu

Rule = Literal["mbr", "diffuseq", "released"]


def choice(candidates: Sequence[Counted], rule: Rule = "mbr") -> int:
    """The number of the chosen candidate; `diffuseq` and `released` are the two imitations.

    Raises ValueError where there is none.
    """
    if not candidates:
        raise ValueError("a choice among no candidates; expected at least one")
    agreement = [_agreement(candidates, number, rule) for number in range(len(candidates))]
    greatest = max(agreement)
    equal = [number for number, each in enumerate(agreement) if each == greatest]
    written = [number for number in equal if candidates[number].length]
    return written[0] if rule == "mbr" and written else equal[0]


def _agreement(candidates: Sequence[Counted], number: int, rule: Rule) -> float:
    one = candidates[number]
    others = [each for place, each in enumerate(candidates) if rule == "released" or place != number]
    if rule == "mbr":
        return math.fsum(sentence_bleu(one, [other]) for other in others)
    return math.fsum(sentence_bleu(other, [one]) for other in others)


def self_bleu(candidates: Sequence[Counted]) -> float:
    """Every candidate against all the others as its references, mean. Raises ValueError for fewer than two."""
    _two(candidates)
    scores = [
        sentence_bleu(one, [other for place, other in enumerate(candidates) if place != number])
        for number, one in enumerate(candidates)
    ]
    return math.fsum(scores) / len(scores)


def pairwise_bleu(candidates: Sequence[Counted]) -> float:
    """What DiffuSeq's script calls Self-BLEU: the later of every two against the earlier, mean."""
    _two(candidates)
    scores = [
        sentence_bleu(later, [earlier]) for place, earlier in enumerate(candidates) for later in candidates[place + 1 :]
    ]
    return math.fsum(scores) / len(scores)


def distinct_share(texts: Sequence[Counted], n: int) -> float | None:
    """Distinct n-grams / n-grams of all the texts together; None where none of them is n words long."""
    pooled: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        pooled.update(text.grams[n - 1])
    return len(pooled) / pooled.total() if pooled else None


def _two(candidates: Sequence[Counted]) -> None:
    if len(candidates) < 2:
        raise ValueError(f"Self-BLEU over {len(candidates)} candidates; expected at least two")
