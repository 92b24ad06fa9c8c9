"""Text of our own making: a small grammar over a Zipf vocabulary, for tests and runs that fetch nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from diffusionbert import config
from diffusionbert.corpus.documents import Document

_ONSETS = "b br c cl d dr f fl g gr h j k l m n p pl pr r s sh st t tr v w"
_NUCLEI = "a e i o u ai ea ou"
_CODAS = ("", "n", "r", "l", "t", "m", "nd", "st", "ck")
# Shares of the vocabulary by part of speech; what is left are names.
_SHARES = {"noun": 0.45, "verb": 0.25, "adjective": 0.15, "adverb": 0.07}
ZIPF_EXPONENT = 1.1
NUM_SENTENCES = (4, 16)  # of a document, both ends included
NUM_TOPICS = 6  # nouns a document comes back to


@dataclass(frozen=True)
class _Lexicon:
    """Words by part of speech, each list falling in frequency by Zipf's law."""

    words: dict[str, list[str]]
    cumulative: dict[str, NDArray[np.float64]]

    def draw(self, kind: str, rng: Generator) -> str:
        rank = int(np.searchsorted(self.cumulative[kind], rng.random(), side="right"))
        return self.words[kind][min(rank, len(self.words[kind]) - 1)]


def documents(source: config.GrammarSource) -> Iterator[Document]:
    """Documents over `num_words` words of the open classes; each depends on its number alone.

    Raises ValueError for a vocabulary too small to give every part of speech a word.
    """
    lexicon = _lexicon(source.num_words, np.random.default_rng([source.seed, 0]))
    for index in range(source.num_documents):
        rng = np.random.default_rng([source.seed, 1, index])
        topics = [lexicon.draw("noun", rng) for _ in range(NUM_TOPICS)]
        count = int(rng.integers(NUM_SENTENCES[0], NUM_SENTENCES[1] + 1))
        yield Document(f"grammar-{index}", " ".join(_sentence(lexicon, topics, rng) for _ in range(count)))


def _lexicon(num_words: int, rng: Generator) -> _Lexicon:
    if num_words < 20:
        raise ValueError(f"corpus.grammar.num_words: {num_words}; expected at least 20")
    syllables = ["".join(parts) for parts in itertools.product(_ONSETS.split(), _NUCLEI.split(), _CODAS)]
    made: dict[str, None] = {}  # a set that keeps its order
    while len(made) < num_words:
        word = "".join(syllables[int(i)] for i in rng.integers(len(syllables), size=int(rng.integers(1, 4))))
        if len(word) > 2:
            made.setdefault(word)
    rest = list(made)
    words: dict[str, list[str]] = {}
    for kind, share in _SHARES.items():
        cut = max(1, int(share * num_words))
        words[kind], rest = rest[:cut], rest[cut:]
    words["verb"] = [word + "s" for word in words["verb"]]
    words["adverb"] = [word + "ly" for word in words["adverb"]]
    words["name"] = [word.capitalize() for word in rest]
    weights = {kind: np.arange(1, len(entries) + 1) ** -ZIPF_EXPONENT for kind, entries in words.items()}
    return _Lexicon(words, {kind: np.cumsum(weight / weight.sum()) for kind, weight in weights.items()})


def _sentence(lexicon: _Lexicon, topics: list[str], rng: Generator) -> str:
    """S -> [opening ,] clause [, and clause] ."""
    words = _clause(lexicon, topics, rng)
    if rng.random() < 0.15:
        words = [*_place(lexicon, topics, rng)[:-1], topics[0] + ",", *words]
    if rng.random() < 0.25:
        words = [
            *words[:-1],
            words[-1] + ",",
            str(rng.choice(["and", "but", "while"])),
            *_clause(lexicon, topics, rng),
        ]
    text = " ".join(words)
    return text[0].upper() + text[1:] + "."


def _clause(lexicon: _Lexicon, topics: list[str], rng: Generator) -> list[str]:
    """clause -> NP verb [adverb] (NP | PP | NP PP)"""
    words = [*_noun_phrase(lexicon, topics, rng), lexicon.draw("verb", rng)]
    if rng.random() < 0.2:
        words.append(lexicon.draw("adverb", rng))
    form = rng.random()
    if form < 0.75:
        words += _noun_phrase(lexicon, topics, rng)
    if form > 0.45:
        words += _place(lexicon, topics, rng)
    return words


def _noun_phrase(lexicon: _Lexicon, topics: list[str], rng: Generator) -> list[str]:
    """NP -> name | determiner [adjective] noun [of NP]"""
    if rng.random() < 0.2:
        return [lexicon.draw("name", rng)]
    words = [str(rng.choice(["the", "the", "the", "a", "every", "his", "her", "this"]))]
    if rng.random() < 0.35:
        words.append(lexicon.draw("adjective", rng))
    words.append(str(rng.choice(topics)) if rng.random() < 0.5 else lexicon.draw("noun", rng))
    if rng.random() < 0.1:
        words += ["of", "the", lexicon.draw("noun", rng)]
    return words


def _place(lexicon: _Lexicon, topics: list[str], rng: Generator) -> list[str]:
    """PP -> preposition the noun"""
    noun = str(rng.choice(topics)) if rng.random() < 0.5 else lexicon.draw("noun", rng)
    return [str(rng.choice(["in", "near", "with", "under", "over", "behind"])), "the", noun]
