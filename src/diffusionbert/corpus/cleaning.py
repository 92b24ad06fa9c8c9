"""Which sentences are kept, and for what reason the others are dropped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from diffusionbert import config
from diffusionbert.words import count_words

_CLOSED = (
    "a|an|the|and|that|which|who|his|her|their|our|its|was|were|is|are|has|had|have|would|could|said"
    "|for|from|with|of|to|as"
)
# White space that became a hyphen: "quashed-as a result", "by-the end", "in Ireland.-The".
_HYPHEN_FOR_SPACE = re.compile(
    rf"(?<![-\w])(?:{_CLOSED})-[A-Za-z]+\b(?!-)|(?<![-\w])[A-Za-z]+-(?:{_CLOSED})\b(?!-)|[.,:;!?]-\w",
    re.IGNORECASE,
)
_HYPHENATED = re.compile(r"\w-\w")
# What a wrong decoding leaves: the replacement character, UTF-8 read as Latin-1, a question mark or a double
# quote where a curly quote, a dash or an accent was ('"?he said', 'Sch?uble'), quotes run into words.
_DAMAGED = re.compile(
    r"""[\ufffd\x00-\x1f\x7f-\x9f]|[ÃÂâ][\x80-\xbf€™œ]"""
    r"""|"\s?\?|\w\?[\w-]|\s\?|\w"\w|"{2}|\w'"?\?|[.!?,]["']\w|--\w|-\s*-"""
)
# Without any of these a sentence is not damaged: a quick test.
_SUSPECT = re.compile(r"""["'?\ufffd\x00-\x1f\x7f-\x9fÃÂâ-]""")
_ADDRESS = re.compile(r"https?:|www\.|pic\.twitter|\.(?:com|org|net)\b|[@#]\w")
_MARKUP = re.compile(r"[<>{}|\\_^~=*\[\]/]{2}|[<>{}|\\_^~=*]|\[\s|\s/\s")
_HEADING = re.compile(
    r"\b[A-Z]{4,}:? [A-Z]{4,}\b|\b[A-Z]{2,}:? [A-Z]{2,}:? [A-Z]{2,}\b|^(?:Source|Author|Related|Date)\b ?:"
)
_BEGIN = re.compile(r"""["'(]{0,2}[A-Z0-9$£€À-Þ]""")
_END = re.compile(r"""[.!?]["')]{0,2}$""")
MIN_LETTER_SHARE = 0.8  # of the characters that are not spaces


def mend(text: str) -> str:
    """Undoes the damage that can be read in one way only.

    A hyphen hanging on the end of a sentence was white space ('the country.- It'); a double quote between a
    word and its ending was an apostrophe ('doesn"t'); a quote and a question mark after an end mark were a
    closing quote ('optimal flavor."?In other words').
    """
    text = re.sub(r"""(?<=[.!?])(["']?)\s*-(?=\s|$)""", r"\1", text)
    text = re.sub(r"""(?<=\w)"(?=(?:s|t|re|ve|ll|d|m)\b)""", "'", text)
    return re.sub(r"""(?<=[.!?,])"\?\s?(?=[A-Za-z])""", '" ', text)


def hyphens_are_spaces(text: str) -> bool:
    """Whether white space became hyphens in this document: then no hyphenated word of it can be trusted."""
    return "-" in text and len(_HYPHEN_FOR_SPACE.findall(text)) >= 2


def judge(sentences: Sequence[str], rules: config.Cleaning, *, distrust_hyphens: bool = False) -> list[str | None]:
    """For each sentence the reason to drop it, the first that applies, or None to keep it."""
    return [
        _reason(sentence, num_words, rules, distrust_hyphens)
        for sentence, num_words in zip(sentences, count_words(sentences), strict=True)
    ]


def _reason(sentence: str, num_words: int, rules: config.Cleaning, distrust_hyphens: bool) -> str | None:
    if rules.drop_damaged and _is_damaged(sentence, distrust_hyphens):
        return "damaged"
    if num_words < rules.min_words:
        return "too_short"
    if num_words > rules.max_words:
        return "too_long"
    if _ADDRESS.search(sentence) or _MARKUP.search(sentence):
        return "address_or_markup"
    if _HEADING.search(sentence):
        return "heading"
    if not (_BEGIN.match(sentence) and _END.search(sentence)):
        return "not_a_sentence"
    if sum(map(str.isalpha, sentence)) < MIN_LETTER_SHARE * len(sentence.replace(" ", "")):
        return "few_letters"
    return None


def _is_damaged(sentence: str, distrust_hyphens: bool) -> bool:
    if "-" in sentence and (_HYPHEN_FOR_SPACE.search(sentence) or (distrust_hyphens and _HYPHENATED.search(sentence))):
        return True
    return _SUSPECT.search(sentence) is not None and _DAMAGED.search(sentence) is not None
