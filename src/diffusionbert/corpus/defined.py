"""What is told of pairs that define words: how many words, which of them in two splits, what has several targets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from diffusionbert.corpus.pairs import Pair
from diffusionbert.corpus.text import SPLITS


def _by_split() -> dict[str, Any]:
    return {split: set() for split in SPLITS}


@dataclass
class Defined:
    """The words, families and distinct pairs of each split; pairs that define none leave nothing here."""

    words: dict[str, set[str]] = field(default_factory=_by_split)
    families: dict[str, set[str]] = field(default_factory=_by_split)
    pairs: dict[str, set[tuple[str, str]]] = field(default_factory=_by_split)

    def add(self, split: str, pair: Pair) -> None:
        if pair.word is not None:
            self.words[split].add(pair.word)
            self.families[split].add(pair.group)
            self.pairs[split].add((pair.source, pair.target))

    def told(self) -> dict[str, Any]:
        """Counts by split, of all that was read; nothing where no pair defines a word.

        `several_targets` are the distinct pairs whose source has another target as well.
        """
        if not any(self.words.values()):
            return {}
        return {
            "documents": {split: len(families) for split, families in self.families.items()},
            "defined_words": {split: len(words) for split, words in self.words.items()},
            "words_in_train": {split: len(self.words[split] & self.words["train"]) for split in ("valid", "test")},
            "several_targets": {split: _several(pairs) for split, pairs in self.pairs.items()},
        }


def _several(pairs: set[tuple[str, str]]) -> int:
    targets = Counter(source for source, _ in pairs)
    return sum(number for number in targets.values() if number > 1)
