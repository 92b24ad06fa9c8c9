"""Text to words, the same way on both sides of every score: BERT's basic tokenisation.

Control characters are dropped, accents stripped, letters lower-cased, punctuation marks and CJK characters
split off. It is the unit of "per word" and the tokenisation of BLEU.
"""

from __future__ import annotations

from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

TOKENISATION = "bert-basic"
CASE = "lower"

_normalizer = BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True)
_splitter = BertPreTokenizer()


def split_words(text: str) -> list[str]:
    """The words of a text; empty for an empty one."""
    return [word for word, _ in _splitter.pre_tokenize_str(_normalizer.normalize_str(text))]
