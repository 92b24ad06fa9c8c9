"""BLEU-4 and Self-BLEU per sentence, equal to nltk's unsmoothed `corpus_bleu` of one sentence at a time.

    BLEU = BP exp(1/4 sum_{n=1..4} ln p_n),   p_n = sum_g min(c(g), max_r c_r(g)) / max(1, sum_g c(g))

where g runs over the n-grams of the hypothesis and r over the references; BP = 1 if the hypothesis is
longer than the reference of the closest length (the shorter one of two equally close), else exp(1 - closest
/ length). A p_n with no match counts as the smallest normal float64, as in nltk, so that such a score is
tiny and not 0; with no word in common it is 0.

nltk counts the n-grams of every reference again for every hypothesis. Here max_r c_r(g) is one table,
filled in one pass over the references, of the n-grams that some hypothesis has. For Self-BLEU the table
keeps the best and the second-best count of every n-gram: the maximum over all *other* samples is the second
best for a sample that holds the best one, else the best.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORDER = 4
CHUNK = 20_000  # references held at a time
ABSENT = -1

Integers = NDArray[np.int64]
Sentence = Sequence[str]


@dataclass(frozen=True)
class _Flat:
    """Sentences as one array of word ids; a word that the vocabulary lacks is ABSENT."""

    words: Integers  # (W,)
    lengths: Integers  # (N,)


@dataclass(frozen=True)
class _Counts:
    """How often each sentence holds each n-gram of one order; one entry per pair that occurs."""

    sentence: Integers
    gram: Integers
    count: Integers


@dataclass(frozen=True)
class _Table:
    """The n-grams of the hypotheses, each keyed by the id of its words but the last and the last one's id."""

    vocabulary: dict[str, int]
    keys: tuple[Integers, ...]  # sorted, for n = 2, 3, 4; an n-gram's id is its position

    def sizes(self) -> list[int]:
        return [len(self.vocabulary), *(len(keys) for keys in self.keys)]


def bleu(hypotheses: Sequence[Sentence], references: Iterable[Sentence]) -> NDArray[np.float64]:
    """BLEU-4 of every hypothesis (H,) against all the references, which are read once and not kept.

    Raises ValueError when there is no hypothesis or no reference.
    """
    if len(hypotheses) == 0:
        raise ValueError("BLEU over no samples; expected at least one")
    table, flat = _table(hypotheses)
    best = [np.zeros(size, dtype=np.int64) for size in table.sizes()]
    reference_lengths: set[int] = set()
    for chunk in _chunks(references, CHUNK):
        found = _flatten(chunk, table.vocabulary)
        reference_lengths.update(found.lengths.tolist())
        for order, counts in enumerate(_count(found, table)):
            np.maximum.at(best[order], counts.gram, counts.count)
    if not reference_lengths:
        raise ValueError("BLEU against no references; expected at least one")
    matches = [
        _matches(counts, best[order][counts.gram], len(hypotheses)) for order, counts in enumerate(_count(flat, table))
    ]
    closest = _closest(np.array(sorted(reference_lengths)), flat.lengths)
    return _score(matches, flat.lengths, closest)


def self_bleu(samples: Sequence[Sentence]) -> NDArray[np.float64]:
    """BLEU-4 of every sample (N,) against all the others.

    Raises ValueError for fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError(f"Self-BLEU over {len(samples)} samples; expected at least two")
    table, flat = _table(samples)
    matches = []
    for counts, size in zip(_count(flat, table), table.sizes(), strict=True):
        best, second = _two_best(counts, size)
        others = np.where(counts.count == best[counts.gram], second[counts.gram], best[counts.gram])
        matches.append(_matches(counts, others, len(samples)))
    lengths, inverse, number = np.unique(flat.lengths, return_inverse=True, return_counts=True)
    closest = np.empty(len(lengths), dtype=np.int64)
    for position, (length, alone) in enumerate(zip(lengths, number == 1, strict=True)):
        others = np.delete(lengths, position) if alone else lengths
        closest[position] = _closest(others, np.array([length]))[0]
    return _score(matches, flat.lengths, closest[inverse])


def _table(hypotheses: Sequence[Sentence]) -> tuple[_Table, _Flat]:
    vocabulary: dict[str, int] = {}
    for word in itertools.chain.from_iterable(hypotheses):
        vocabulary.setdefault(word, len(vocabulary))
    flat = _flatten(hypotheses, vocabulary)
    keys: list[Integers] = []
    grams = flat.words
    for order in range(2, ORDER + 1):
        start = _starts(flat.lengths, order)
        key = grams[start] * len(vocabulary) + flat.words[start + order - 1]
        known, inverse = np.unique(key, return_inverse=True)
        grams = np.full(len(flat.words), ABSENT, dtype=np.int64)
        grams[start] = inverse
        keys.append(known)
    return _Table(vocabulary, tuple(keys)), flat


def _flatten(sentences: Sequence[Sentence], vocabulary: dict[str, int]) -> _Flat:
    lengths = np.fromiter((len(sentence) for sentence in sentences), dtype=np.int64, count=len(sentences))
    words = (vocabulary.get(word, ABSENT) for word in itertools.chain.from_iterable(sentences))
    return _Flat(np.fromiter(words, dtype=np.int64, count=int(lengths.sum())), lengths)


def _starts(lengths: Integers, order: int) -> Integers:
    """Positions at which an n-gram of this order starts without leaving its sentence."""
    left = np.repeat(lengths.cumsum(), lengths) - np.arange(lengths.sum())  # words from here to the sentence's end
    return np.flatnonzero(left >= order)


def _count(flat: _Flat, table: _Table) -> Iterator[_Counts]:
    """The counts for n = 1..4 of the n-grams that are in the table."""
    sentence = np.repeat(np.arange(len(flat.lengths)), flat.lengths)
    grams = flat.words
    yield _pairs(sentence, grams, len(table.vocabulary))
    for order, known in enumerate(table.keys, start=2):
        start = _starts(flat.lengths, order)
        start = start[(grams[start] != ABSENT) & (flat.words[start + order - 1] != ABSENT)]
        key = grams[start] * len(table.vocabulary) + flat.words[start + order - 1]
        position = np.searchsorted(known, key)
        held = np.zeros(len(key), dtype=bool)
        inside = position < len(known)
        held[inside] = known[position[inside]] == key[inside]
        grams = np.full(len(flat.words), ABSENT, dtype=np.int64)
        grams[start[held]] = position[held]
        yield _pairs(sentence, grams, len(known))


def _pairs(sentence: Integers, grams: Integers, size: int) -> _Counts:
    held = grams != ABSENT
    pair, count = np.unique(sentence[held] * max(size, 1) + grams[held], return_counts=True)
    return _Counts(pair // max(size, 1), pair % max(size, 1), count.astype(np.int64))


def _two_best(counts: _Counts, size: int) -> tuple[Integers, Integers]:
    """The largest and the second-largest count of every n-gram over the sentences, (size,) each; 0 if none.

    Two sentences that share the largest count make it the second-largest too.
    """
    by_gram = np.lexsort((-counts.count, counts.gram))
    gram, count = counts.gram[by_gram], counts.count[by_gram]
    first = np.ones(len(gram), dtype=bool)
    first[1:] = gram[1:] != gram[:-1]
    best, second = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    best[gram[first]] = count[first]
    runner_up = np.flatnonzero(first[:-1] & ~first[1:]) + 1
    second[gram[runner_up]] = count[runner_up]
    return best, second


def _matches(counts: _Counts, limit: Integers, num_sentences: int) -> Integers:
    """sum_g min(c(g), limit(g)) for every sentence, (N,)."""
    clipped = np.minimum(counts.count, limit)
    return np.bincount(counts.sentence, weights=clipped, minlength=num_sentences).astype(np.int64)


def _closest(reference_lengths: Integers, lengths: Integers) -> Integers:
    """The reference length (sorted) closest to each length, the shorter one of two equally close."""
    upper = np.clip(np.searchsorted(reference_lengths, lengths), 0, len(reference_lengths) - 1)
    lower = np.maximum(upper - 1, 0)
    below, above = reference_lengths[lower], reference_lengths[upper]
    return np.where(np.abs(below - lengths) <= np.abs(above - lengths), below, above)


def _score(matches: Sequence[Integers], lengths: Integers, closest: Integers) -> NDArray[np.float64]:
    total = np.zeros(len(lengths))
    for order, matched in enumerate(matches, start=1):
        precision = matched / np.maximum(1, lengths - order + 1)
        total += np.log(np.where(matched > 0, precision, sys.float_info.min)) / ORDER
    penalty = np.where(lengths > closest, 1.0, np.exp(1 - closest / np.maximum(1, lengths)))
    return np.where(matches[0] > 0, penalty * np.exp(total), 0.0)


def _chunks(sentences: Iterable[Sentence], size: int) -> Iterator[list[Sentence]]:
    rest = iter(sentences)
    while chunk := list(itertools.islice(rest, size)):
        yield chunk
