"""ROUGE-L: how much of two texts is one sequence of words in common, gaps allowed (Lin 2004).

    R = LCS / |reference|,  P = LCS / |text|,  F = 2 P R / (P + R)

F is the same whichever of the two is called the reference. The package `rouge-score` keeps runs of a-z and 0-9 alone;
`rouge_words` keeps our own words that have a letter or a digit in them, which for ASCII is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def rouge_words(words: Sequence[str]) -> list[str]:
    """The words that are no punctuation mark."""
    return [word for word in words if any(letter.isalnum() for letter in word)]


def rouge_l(words: Sequence[str], reference: Sequence[str]) -> float:
    """The F measure in [0, 1]; 0 where either side has no word."""
    if not words or not reference:
        return 0.0
    common = longest_common(words, reference)
    return 2 * common / (len(words) + len(reference))


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, row by row of the usual table."""
    ids = {word: number for number, word in enumerate(dict.fromkeys([*one, *other]))}
    theirs = np.array([ids[word] for word in other])
    best = np.zeros(len(theirs) + 1, dtype=np.int64)
    for word in one:
        # best[j] = max(best[j], best'[j-1] + 1 on a match), then the running maximum over j
        best[1:] = np.maximum(best[1:], np.where(theirs == ids[word], best[:-1] + 1, 0))
        np.maximum.accumulate(best, out=best)
    return int(best[-1])
