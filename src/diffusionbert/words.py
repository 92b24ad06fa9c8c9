"""What a word is, in every figure per word and in BLEU: BERT's basic tokenisation.

Control characters are dropped, accents stripped, letters lower-cased, punctuation marks and CJK characters
split off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokenizers import PreTokenizedString, normalizers, pre_tokenizers

TOKENISATION = "bert-basic"
CASE = "lower"


_normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True)
_as_written = normalizers.BertNormalizer(
    clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
)
_splitter = pre_tokenizers.BertPreTokenizer()
# The same rule for plain ASCII, where it is ten times as fast: every printable mark is punctuation.
_ASCII_WORD = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9 ]")


def split_words(text: str) -> list[str]:
    """The words of a text; empty for an empty one."""
    if text.isascii() and text.isprintable():
        return _ASCII_WORD.findall(text.lower())
    return [word for word, _ in _splitter.pre_tokenize_str(_normalizer.normalize_str(text))]


def split_cased(text: str) -> list[str]:
    """The words of a text, letters and accents as they are."""
    return [word for word, _ in _splitter.pre_tokenize_str(_as_written.normalize_str(text))]


def count_words(texts: Sequence[str]) -> list[int]:
    """How many words each text has."""
    return [len(split_words(text)) for text in texts]


def word_starts(text: str) -> list[int]:
    """Where each word begins in the text, in characters, ascending."""
    if text.isascii() and text.isprintable():
        return [word.start() for word in _ASCII_WORD.finditer(text)]
    pieces = PreTokenizedString(text)
    pieces.normalize(_normalizer.normalize)
    _splitter.pre_tokenize(pieces)
    return [start for _, (start, _), _ in pieces.get_splits(offset_referential="original", offset_type="char")]
