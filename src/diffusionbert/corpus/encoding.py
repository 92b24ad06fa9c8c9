"""Sentences -> rows of token ids: one a sentence, cut at the longest length, or packed into blocks of that length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusionbert.words import count_words, word_starts

_TEXTS_AT_ONCE = 1000  # encodings are a hundred times the size of their ids
_MOST_WORDS = np.iinfo(np.uint16).max  # of a row, and tokens of a shard, as shards store them
_MOST_TOKENS = np.iinfo(np.int32).max


@dataclass(frozen=True)
class EncodedPairs:
    """What rows of pairs have beside their tokens: how many of them are given, and the texts as they were."""

    given: NDArray[np.uint16]  # leading tokens of each row: its source and the separator behind it
    sources: list[str]
    targets: list[str]
    truncated_sources: int
    skipped_long: int
    ends: int  # end tokens behind the targets


@dataclass(frozen=True)
class Encoded:
    """Rows of token ids: row i is `tokens[offsets[i] : offsets[i + 1]]`; a row is a sentence, or a block of several."""

    tokens: NDArray[np.uint16]
    offsets: NDArray[np.int32]
    words: NDArray[np.uint16]
    truncated: int
    empty: int  # texts of no token at all; they are left out
    texts: int  # texts that gave tokens
    separators: int = 0
    partial: int = 0  # blocks shorter than the rest
    pairs: EncodedPairs | None = None


def encode(tokenizer: Any, texts: Sequence[str], max_length: int) -> Encoded:
    """Token ids without special tokens, cut at `max_length`, and the words of each text as far as kept.

    A text that spells out a special token ("[MASK]") is read as plain text.
    """
    return encode_rows(_plain(tokenizer.backend_tokenizer), texts, max_length)


def encode_rows(backend: Any, texts: Sequence[str], max_length: int) -> Encoded:
    """As `encode`, by the tokenizer of the `tokenizers` library that `plain_tokenizer` reads."""
    rows: list[list[int]] = []
    kept: list[str] = []
    truncated = empty = 0
    for text, ids in ids_of(backend, texts):
        if len(ids) > max_length:
            truncated += 1
            # the fast batch keeps no offsets; they are wanted for these few only
            text = text[: backend.encode(text, add_special_tokens=False).offsets[max_length - 1][1]]
            ids = ids[:max_length]
        if ids:
            rows.append(ids)
            kept.append(text)
        else:
            empty += 1
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return Encoded(flat(rows), offsets_of(lengths), stored(count_words(kept)), truncated, empty, len(rows))


def encode_blocks(backend: Any, texts: Sequence[str], length: int, separator: int) -> Encoded:
    """The texts one after another, `separator` between two of them, in blocks of `length` tokens; none is cut off.

    The last block is kept, short as it may be. A word belongs to the block in which it begins and a separator is no
    word, so that the words of all blocks are those of all texts; a separator is a token like any other, and its nats
    count. So exp(nats / words) is the perplexity per word of text *with* its sentence ends.
    """
    rows: list[list[int]] = []
    kept: list[str] = []
    for text, ids in ids_of(backend, texts):
        if ids:
            rows.append([*ids, separator])
            kept.append(text)
    tokens = flat(rows)[:-1]  # between texts: none after the last
    lengths = np.fromiter((len(row) - 1 for row in rows), dtype=np.int64, count=len(rows))
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]) if rows else np.zeros(0, dtype=np.int64)
    full, rest = divmod(len(tokens), length)
    words = np.zeros(full + bool(rest), dtype=np.int64)
    counts = np.asarray(count_words(kept), dtype=np.int64)
    first, last = starts // length, (starts + lengths - 1) // length
    np.add.at(words, first[first == last], counts[first == last])
    for number in np.flatnonzero(first != last).tolist():
        cuts = np.arange(first[number] + 1, last[number] + 1) * length - starts[number]
        words[first[number] : last[number] + 1] += _words_between(backend, kept[number], cuts.tolist(), counts[number])
    sizes = np.full(len(words), length, dtype=np.int64)
    sizes[full:] = rest
    return Encoded(
        tokens,
        offsets_of(sizes),
        stored(words),
        truncated=0,
        empty=len(texts) - len(rows),
        texts=len(rows),
        separators=max(0, len(rows) - 1),
        partial=int(rest > 0),
    )


def _words_between(backend: Any, text: str, cuts: list[int], total: int) -> NDArray[np.int64]:
    """How many words begin before the first cut, between it and the next, and so on; cuts are in tokens."""
    ends = backend.encode(text, add_special_tokens=False).offsets
    before = np.searchsorted(word_starts(text), [ends[cut - 1][1] for cut in cuts])
    return np.diff(np.minimum.accumulate([0, *before, total][::-1])[::-1])


def plain_tokenizer(text: str) -> Any:
    """The tokenizer that `tokenizer_text` wrote; needs the `tokenizers` library alone."""
    from tokenizers import Tokenizer

    return _plain(Tokenizer.from_str(text))


def tokenizer_text(tokenizer: Any) -> str:
    """A tokenizer as text, for another process."""
    text: str = tokenizer.backend_tokenizer.to_str()
    return text


def _plain(backend: Any) -> Any:
    """Neither pads nor cuts, and reads special tokens that a text spells out as text."""
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True
    return backend


def ids_of(backend: Any, texts: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Every text with its token ids."""
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = list(texts[start : start + _TEXTS_AT_ONCE])
        for text, encoding in zip(part, backend.encode_batch_fast(part, add_special_tokens=False), strict=True):
            yield text, encoding.ids


def flat(rows: Sequence[Sequence[int]]) -> NDArray[np.uint16]:
    """The rows one after another."""
    return np.fromiter(chain.from_iterable(rows), dtype=np.uint16)


def stored(words: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint16]:
    """The words of rows as shards have them. A token can be many words: a line of dashes is one of GPT-2's."""
    counts = np.asarray(words, dtype=np.int64)
    if len(counts) and (most := int(counts.max())) > _MOST_WORDS:
        raise ValueError(
            f"tokenize.max_length: it lets a row have {most:,} words; expected at most {_MOST_WORDS:,} in a row"
        )
    return counts.astype(np.uint16)


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    """Where each row of these lengths begins, and where the last one ends."""
    if (tokens := int(lengths.sum())) > _MOST_TOKENS:
        raise ValueError(f"tokenize.shard_size: a shard of {tokens:,} tokens; expected at most {_MOST_TOKENS:,}")
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
