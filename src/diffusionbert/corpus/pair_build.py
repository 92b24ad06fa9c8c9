"""Pairs -> shuffled pairs in three splits, with memory flat in their number but for hashes of each pair.

As `build` does with sentences: they go to buckets on disk by a hash, and each bucket is sorted by it and written out.
Where the splits are made here, a held-out pair is left out when its source or its target stands in train, case and
punctuation aside: verses of one book are quoted in another. Published splits are kept as they are.
"""

from __future__ import annotations

import re
import shutil
from array import array
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from diffusionbert import config
from diffusionbert.corpus.build import NUM_BUCKETS, assign_split, hash64
from diffusionbert.corpus.defined import Defined
from diffusionbert.corpus.documents import Document
from diffusionbert.corpus.pairs import Pair, Skipped
from diffusionbert.corpus.text import SPLITS, TextWriter
from diffusionbert.files import replacing, write_sums
from diffusionbert.progress import track
from diffusionbert.words import count_words

_WORD = re.compile(r"\w+")


@dataclass
class _Told:
    """What is counted of a split."""

    identical: int = 0
    source_words: int = 0
    target_words: int = 0
    targets: array[int] = field(default_factory=lambda: array("Q"))  # a hash of each


@dataclass
class _Trained:
    """Sources and targets of the train split, by a hash of their words."""

    sources: set[int] = field(default_factory=set)
    targets: set[int] = field(default_factory=set)

    def add(self, pair: Pair) -> None:
        self.sources.add(_of_words(pair.source))
        self.targets.add(_of_words(pair.target))

    def has(self, source: str, target: str) -> bool:
        """An empty source is no leak: what is given says nothing."""
        return (source != "" and _of_words(source) in self.sources) or _of_words(target) in self.targets


def _of_words(text: str) -> int:
    return int(hash64(" ".join(_WORD.findall(text.casefold())) or text, 0, b"words"), 16)


def build_pairs(corpus: config.Corpus, source: Iterable[Pair], skipped: Skipped, folder: Path) -> dict[str, Any]:
    """Writes the splits' text files to `folder`, whole or not at all; returns what is told about them.

    Raises ValueError when a split has no pair.
    """
    with replacing(folder) as aside:
        aside.mkdir()
        spool = aside / "spool"
        spool.mkdir()
        defined = Defined()
        trained = _Trained()
        books = _spool(corpus, source, spool, defined, trained)
        writers = {split: TextWriter(aside, split) for split in SPLITS}
        told = _write(corpus, spool, writers, skipped, trained)
        shutil.rmtree(spool)
        for split, writer in writers.items():
            writer.close()
            if writer.num_sentences == 0:
                raise ValueError(
                    f"corpus.pairs: split '{split}' has no pair; expected some (valid_share {corpus.valid_share}, "
                    f"test_share {corpus.test_share}, seed {corpus.seed})"
                )
        write_sums(aside)
    return _metrics(corpus, books, writers, told, skipped) | defined.told()


def _spool(
    corpus: config.Corpus, source: Iterable[Pair], spool: Path, defined: Defined, trained: _Trained
) -> dict[str, set[str]]:
    """The pairs into the buckets; returns the books of each split, where the pairs have any."""
    books: dict[str, set[str]] = {split: set() for split in SPLITS}
    with ExitStack() as stack:
        names = [spool / f"{bucket:03d}" for bucket in range(NUM_BUCKETS)]
        files = [stack.enter_context(name.open("w", encoding="utf-8", newline="\n")) for name in names]
        for number, pair in enumerate(track(source, label="corpus: pairs")):
            split = pair.published or assign_split(Document(pair.group, pair.target), corpus)
            if pair.book is not None:
                books[split].add(pair.book)
            defined.add(split, pair)
            if split == "train" and pair.published is None:
                trained.add(pair)
            key = hash64(f"{number}\n{pair.source}\n{pair.target}", corpus.seed, b"shuffle")
            line = "\t".join((key, split, pair.source, pair.target))
            files[int(key, 16) * NUM_BUCKETS >> 64].write(line + "\n")
    return books


def _write(
    corpus: config.Corpus, spool: Path, writers: dict[str, TextWriter], skipped: Skipped, trained: _Trained
) -> dict[str, _Told]:
    """Writes the buckets out in the order of the keys, at most `max_sentences` pairs."""
    told = {split: _Told() for split in SPLITS}
    left = corpus.max_sentences
    for bucket in track(sorted(spool.iterdir()), label="corpus: shuffling"):
        with bucket.open(encoding="utf-8", newline="\n") as file:
            rows = [line.rstrip("\n").split("\t") for line in sorted(file)]
        leaked = [split != "train" and trained.has(source, target) for _, split, source, target in rows]
        for row in compress(rows, leaked):
            skipped.add(row[1], "in_train")
        rows = [row for row, leaks in zip(rows, leaked, strict=True) if not leaks]
        if left is not None:
            for _, split, _, _ in rows[left:]:
                skipped.add(split, "over_max_sentences")
            rows = rows[:left]
            left -= len(rows)
        in_sources, in_targets = count_words([row[2] for row in rows]), count_words([row[3] for row in rows])
        for (_, split, source, target), of_source, of_target in zip(rows, in_sources, in_targets, strict=True):
            writers[split].write(f"{source}\t{target}")
            told[split].identical += source == target
            told[split].source_words += of_source
            told[split].target_words += of_target
            told[split].targets.append(int(hash64(target, 0, b"target"), 16))
    return told


def _metrics(
    corpus: config.Corpus,
    books: dict[str, set[str]],
    writers: dict[str, TextWriter],
    told: dict[str, _Told],
    skipped: Skipped,
) -> dict[str, Any]:
    sizes = {split: writer.num_sentences for split, writer in writers.items()}
    in_train = np.array(told["train"].targets, dtype=np.uint64)
    dropped: Counter[str] = sum(skipped.counts.values(), Counter())
    metrics: dict[str, Any] = {
        "source": corpus.source,
        "task": corpus.pairs.task if corpus.pairs else None,
        "documents": {split: len(books[split]) or size for split, size in sizes.items()},
        "sentences": sizes,
        "words": {split: of.target_words for split, of in told.items()},  # of the targets, which are what is scored
        "identical": {split: of.identical for split, of in told.items()},
        "mean_source_words": {split: of.source_words / sizes[split] for split, of in told.items()},
        "mean_target_words": {split: of.target_words / sizes[split] for split, of in told.items()},
        "targets_in_train": {
            split: int(np.isin(np.array(told[split].targets, dtype=np.uint64), in_train).sum())
            for split in ("valid", "test")
        },
        "dropped": dict(dropped),
        "skipped": {place: dict(reasons) for place, reasons in skipped.counts.items()},
        "sha256": {split: writer.sha256 for split, writer in writers.items()},
    }
    if books["train"]:
        metrics["held_out_books"] = {split: sorted(books[split]) for split in ("valid", "test")}
    return metrics
