"""A document's text -> its sentences: they end in an end mark and white space, and begin as sentences do."""

from __future__ import annotations

import re

_TITLES = (
    "mr mrs ms dr prof rev hon sen sens rep reps gov gen lt col sgt capt cmdr adm maj pres sec supt det insp"
    " st mt ft messrs mme bros vs etc no nos vol fig pp ed eds cf al approx dept est"
)
_SOMETIMES_LAST = (
    "jr sr inc corp co ltd llc plc jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k u.n d.c e.u a.m p.m u.a.e"
)
_GLUED = frozenset(_TITLES.split())
_ABBREVIATION = frozenset(_SOMETIMES_LAST.split())
# Words that after "U.S." or "Inc." far more often open a sentence than continue a name.
_OPENERS = frozenset(
    [
        "the",
        "a",
        "an",
        "he",
        "she",
        "it",
        "they",
        "we",
        "i",
        "you",
        "but",
        "and",
        "in",
        "on",
        "at",
        "for",
        "this",
        "that",
        "these",
        "those",
        "there",
        "his",
        "her",
        "its",
        "their",
        "our",
        "my",
        "if",
        "when",
        "while",
        "after",
        "before",
        "as",
        "with",
        "since",
        "although",
        "though",
        "however",
        "according",
        "some",
        "many",
        "most",
        "not",
        "so",
        "what",
        "who",
        "why",
        "how",
    ]
)
_BOUNDARY = re.compile(r"""[.!?]+["')\]]*\s+(?=["'(\[]?[A-Z0-9])""")
_LAST_WORD = re.compile(r"""([\w.]*\w)\.["')\]]*\s*$""")
_NEXT_WORD = re.compile(r"""["'(\[]?([A-Za-z]*)""")


def normalize_space(text: str) -> str:
    """Any run of white space is one space; zero-width characters are removed."""
    return " ".join(re.sub("[\u200b\u200c\u200d\u2060\ufeff]", "", text).split())


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, in order, white space normalised; abbreviations and initials end none."""
    text = normalize_space(text)
    sentences, start = [], 0
    for match in _BOUNDARY.finditer(text):
        if _ends_sentence(text[start : match.end()], text[match.end() : match.end() + 40]):
            sentences.append(text[start : match.end()].strip())
            start = match.end()
    rest = text[start:].strip()
    return [*sentences, rest] if rest else sentences


def _ends_sentence(before: str, after: str) -> bool:
    found = _LAST_WORD.search(before[-60:])
    if found is None:
        return True
    word = found[1]
    if word.lower() in _GLUED and (word[0].isupper() or word.lower() in {"vs", "etc", "al", "cf", "pp"}):
        # "no." glues only before a number, and "etc." may well be the last word
        return {"no": not after[:1].isdigit(), "etc": True}.get(word.lower(), False)
    is_initial = len(word) == 1 and word.isupper() and word != "I"
    if is_initial or word.lower() in _ABBREVIATION or re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]", word):
        opener = _NEXT_WORD.match(after)
        return opener is not None and opener[1].lower() in _OPENERS
    return True
