"""BLEU-4 as nltk's `sentence_bleu` with `SmoothingFunction().method4` gave it before 3.6, which mended the formula.

    an order n without a match counts   n - 1 + 5 / ln(length)   matches, instead of   ln(length) / (5 * 2^k)

It is more than 1, and in a short text more than there are n-grams, so that a score can be above 1. A text of one word
has ln(length) = 0: that nltk ends with a division by zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from diffusionbert.metrics.sentence_bleu import ORDER, Counted

_K = 5


def matches(hypothesis: Counted, reference: Counted) -> list[int]:
    """Clipped matches of each order, n = 1..4."""
    pairs = zip(hypothesis.grams, reference.grams, strict=True)
    return [(ours & theirs).total() for ours, theirs in pairs]


def smoothed(hypothesis: Counted, reference: Counted) -> bool:
    """Whether the formula says anything of this text: a word in common, and an order without a match."""
    found = matches(hypothesis, reference)
    return found[0] > 0 and not all(found)


def old_sentence_bleu(hypothesis: Counted, reference: Counted) -> float | None:
    """At least 0, and at times above 1; None for a text of one word where that nltk divides by zero."""
    found = matches(hypothesis, reference)
    if found[0] == 0:
        return 0.0
    if hypothesis.length == 1:
        return None
    total = 0.0
    for n, matched in enumerate(found, start=1):
        possible = max(1, hypothesis.length - n + 1)
        total += math.log((matched or n - 1 + _K / math.log(hypothesis.length)) / possible) / ORDER
    shorter = hypothesis.length <= reference.length
    return (math.exp(1 - reference.length / hypothesis.length) if shorter else 1.0) * math.exp(total)


def old_choice(candidates: Sequence[Counted]) -> int | None:
    """The candidate that DiffuSeq's script chooses under that nltk; None where one of its scores ends it."""
    agreement = []
    for number, one in enumerate(candidates):
        scores = [old_sentence_bleu(other, one) for place, other in enumerate(candidates) if place != number]
        if any(score is None for score in scores):
            return None
        agreement.append(math.fsum(score or 0.0 for score in scores))
    return agreement.index(max(agreement))
