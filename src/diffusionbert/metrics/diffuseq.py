"""Words as DiffuSeq's script (scripts/eval_seq2seq.py of Shark-NLP/DiffuSeq) sees them.

It splits the texts that BERT's tokenizer decodes on spaces. Decoding sets a full stop, a comma, an apostrophe back
against the word before it, so that `what is it?` is three words there and four here. For ROUGE-L it keeps runs of a-z
and 0-9. Its scores of a text and its reference are then

    BLEU      of the reference against the text as *its* reference (the two are swapped), smoothing method 4;
    ROUGE-L   F, which is the same either way round;
    dist-1    distinct words / words of each text by itself, mean over texts, 0 for an empty one;
    Self-BLEU the later of every two candidates against the earlier, mean over pairs, then over sources;
    div-4     distinct 4-grams / 4-grams of the candidates of a source, 0 where there is none, mean over sources.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ALPHANUMERIC = re.compile(r"[a-z0-9]+")
# What `clean_up_tokenization` of transformers joins, in its order.
_JOINED = (" .", " ?", " !", " ,")
_ENGLISH = (" n't", " 'm", " 's", " 've", " 're")


def decoded(words: Sequence[str]) -> str:
    """The text that an uncased BERT tokenizer decodes from these words."""
    text = " ".join(words)
    for mark in _JOINED:
        text = text.replace(mark, mark[1:])
    text = text.replace(" ' ", "'")
    for ending in _ENGLISH:
        text = text.replace(ending, ending[1:])
    return text


def spaced_words(words: Sequence[str]) -> list[str]:
    """The same text as split on spaces."""
    return decoded(words).split()


def alphanumeric_words(words: Sequence[str]) -> list[str]:
    """The same text as `rouge-score` and torchmetrics split it."""
    return _ALPHANUMERIC.findall(decoded(words))
