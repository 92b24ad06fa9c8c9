"""BLEU-4 of one text against a few references, smoothed, and of a whole set of pairs, not smoothed.

    BLEU = BP exp(1/4 sum_{n=1..4} ln p_n),   p_n = sum_g min(c(g), max_r c_r(g)) / max(1, sum_g c(g))

as in `metrics.bleu`, which scores texts against a whole corpus at once. An order without a match is smoothed by
method 4 of Chen and Cherry (2014) as nltk has it from 3.6 on: the k-th such order counts ln(length) / (5 * 2^k)
matches. A text of one word is not smoothed: its orders without a match are left out. Without a word in common the
score is 0. (nltk before 3.6 counted n - 1 + 5 / ln(length) matches instead, more than there are n-grams in short
texts: DiffuSeq names no version.)
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ORDER = 4
SMOOTHING = "method4"
_K = 5
_ORDERS = range(1, ORDER + 1)

Words = Sequence[str]
Grams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Counted:
    """A text as the counts of its n-grams, n = 1..4: counted once, however often it is compared."""

    length: int
    grams: tuple[Grams, ...]

    @classmethod
    def of(cls, words: Words) -> Counted:
        return cls(len(words), tuple(Counter(zip(*(words[i:] for i in range(n)), strict=False)) for n in _ORDERS))


def sentence_bleu(hypothesis: Counted, references: Sequence[Counted]) -> float:
    """Smoothed BLEU-4 in [0, 1]; equal to nltk's `sentence_bleu` with `SmoothingFunction().method4`."""
    if not references:
        raise ValueError("BLEU against no references; expected at least one")
    matched = [_matches(hypothesis, references, n) for n in _ORDERS]
    if matched[0] == 0:
        return 0.0
    total, smoothed = 0.0, 0
    for n, found in zip(_ORDERS, matched, strict=True):
        possible = max(1, hypothesis.length - n + 1)
        if found:
            total += math.log(found / possible) / ORDER
        elif hypothesis.length > 1:
            smoothed += 1
            total += math.log(math.log(hypothesis.length) / (_K * 2**smoothed) / possible) / ORDER
    closest = min(
        (reference.length for reference in references), key=lambda each: (abs(each - hypothesis.length), each)
    )
    return _penalty(hypothesis.length, closest) * math.exp(total)


def corpus_bleu(hypotheses: Sequence[Counted], references: Sequence[Counted]) -> float:
    """Unsmoothed BLEU-4 of all pairs together: matches, n-grams and lengths are summed before dividing.

    Raises ValueError where there is no pair.
    """
    if not hypotheses:
        raise ValueError("BLEU of no texts; expected at least one")
    pairs = list(zip(hypotheses, references, strict=True))
    matched = [sum(_matches(one, [other], n) for one, other in pairs) for n in _ORDERS]
    possible = [sum(max(1, one.length - n + 1) for one, _ in pairs) for n in _ORDERS]
    if matched[0] == 0:
        return 0.0
    rates = [found / of if found else sys.float_info.min for found, of in zip(matched, possible, strict=True)]
    lengths = (sum(each.length for each in side) for side in (hypotheses, references))
    return _penalty(*lengths) * math.exp(sum(math.log(rate) for rate in rates) / ORDER)


def _matches(hypothesis: Counted, references: Sequence[Counted], n: int) -> int:
    counts = hypothesis.grams[n - 1]
    if len(references) == 1:
        other = references[0].grams[n - 1]
        return sum(min(count, other[gram]) for gram, count in counts.items())
    return sum(min(count, max(each.grams[n - 1][gram] for each in references)) for gram, count in counts.items())


def _penalty(length: int, closest: int) -> float:
    return 1.0 if length > closest else math.exp(1 - closest / length) if length else 0.0
