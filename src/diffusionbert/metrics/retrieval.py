"""The nearest of a set of texts, by the cosine of tf-idf vectors of words: exact, over an inverted index.

    w(t, d) = tf(t, d) (1 + ln((1 + N) / (1 + df(t)))),   similarity(q, d) = sum_t w(t, q) w(t, d) / (|w(q)| |w(d)|)

with tf the count of word t in text d, df in how many of the N texts it is.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Words = Sequence[str]


@dataclass(frozen=True)
class Index:
    """For every known word the texts that hold it and its share of their unit vectors."""

    vocabulary: dict[str, int]
    weight: NDArray[np.float64]  # of a word, (V,)
    start: NDArray[np.int64]  # of a word's entries, (V + 1,)
    text: NDArray[np.int64]  # the text of an entry
    value: NDArray[np.float64]  # w(t, d) / |w(d)| of an entry
    size: int

    @classmethod
    def of(cls, texts: Iterable[Words]) -> Index:
        """Reads the texts once. Raises ValueError where there is none."""
        vocabulary: dict[str, int] = {}
        words, lengths = array("q"), array("q")
        for text in texts:
            words.extend(vocabulary.setdefault(word, len(vocabulary)) for word in text)
            lengths.append(len(text))
        if not lengths:
            raise ValueError("an index of no texts; expected at least one")
        number, size = len(lengths), max(1, len(vocabulary))
        text_of = np.repeat(np.arange(number), np.array(lengths))
        pair, count = np.unique(np.array(words) * number + text_of, return_counts=True)
        word, holder = pair // number, pair % number
        held = np.bincount(word, minlength=size)
        weight = 1 + np.log((1 + number) / (1 + held))
        value = count * weight[word]
        norm = np.sqrt(np.bincount(holder, weights=value**2, minlength=number))
        start = np.concatenate([[0], held.cumsum()])
        return cls(vocabulary, weight, start, holder, value / norm[holder], number)

    def nearest(self, query: Words, num: int = 1) -> list[int]:
        """The `num` most similar texts, the most similar first, of equally similar ones the first.

        A query that shares no word with any text is nearest to the first.
        """
        similarity = np.zeros(self.size)
        known = [self.vocabulary[word] for word in query if word in self.vocabulary]
        for word, count in zip(*np.unique(np.array(known, dtype=np.int64), return_counts=True), strict=True):
            entries = slice(self.start[word], self.start[word + 1])
            similarity[self.text[entries]] += count * self.weight[word] * self.value[entries]
        num = min(num, self.size)
        least = np.partition(similarity, self.size - num)[self.size - num]
        among = np.flatnonzero(similarity >= least)  # every text as similar as the last of them
        return [int(text) for text in among[np.argsort(-similarity[among], kind="stable")][:num]]
