"""Laws of packed rows: nothing is lost, every word belongs to one block, and each shard is packed by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from diffusionbert.corpus import encoding
from diffusionbert.corpus.encoding import encode_blocks, encode_rows
from diffusionbert.words import count_words, split_words, word_starts

SEPARATOR = 3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def _tokenizer() -> Any:
    """Word pieces of one or two letters, so that words are cut in their middle."""
    pieces = [*"abcxyz.,", "ab", *(f"##{piece}" for piece in (*"abcxyz", "bc"))]
    backend = Tokenizer(models.WordPiece({text: i for i, text in enumerate([*SPECIAL, *pieces])}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


BACKEND = _tokenizer()
TEXTS = st.lists(st.text(st.sampled_from("abcxyzABé ., "), max_size=30), max_size=12)


@settings(deadline=None)
@given(TEXTS, st.integers(1, 40))
def test_blocks_are_the_sentences_with_separators_between(texts: list[str], length: int) -> None:
    rows = encode_rows(BACKEND, texts, 10_000)
    blocks = encode_blocks(BACKEND, texts, length, SEPARATOR)
    sentences = np.split(rows.tokens, rows.offsets[1:-1]) if len(rows.tokens) else []
    expected = [token for sentence in sentences for token in (SEPARATOR, *sentence.tolist())][1:]
    assert blocks.tokens.tolist() == expected
    sizes = np.diff(blocks.offsets).tolist()
    assert sum(sizes) == len(expected)
    assert all(size == length for size in sizes[:-1])
    assert blocks.partial == int(bool(sizes) and sizes[-1] < length)
    assert (blocks.texts, blocks.separators) == (rows.texts, max(0, rows.texts - 1))
    assert (blocks.empty, blocks.truncated) == (rows.empty, 0)


@settings(deadline=None)
@given(TEXTS, st.integers(1, 40))
def test_the_words_of_the_blocks_are_those_of_the_sentences(texts: list[str], length: int) -> None:
    blocks = encode_blocks(BACKEND, texts, length, SEPARATOR)
    kept = [text for text in texts if BACKEND.encode(text, add_special_tokens=False).ids]
    assert int(blocks.words.sum()) == sum(count_words(kept))
    assert (blocks.words <= np.diff(blocks.offsets)).all(), "a word that begins in a block has its first token there"


def test_a_word_belongs_to_the_block_in_which_it_begins() -> None:
    blocks = encode_blocks(BACKEND, ["xyz ab.", "abc"], 2, SEPARATOR)
    texts = [BACKEND.id_to_token(token) for token in blocks.tokens.tolist()]
    assert texts == ["x", "##y", "##z", "ab", ".", "[SEP]", "ab", "##c"]
    assert blocks.words.tolist() == [1, 1, 1, 1]


@settings(deadline=None)
@given(st.text(st.sampled_from("abcxyzABé́ ., 東\u00ad\u00a0\t≠İß"), max_size=60))
def test_words_that_begin_before_a_place_are_those_of_the_text_up_to_it(text: str) -> None:
    starts = word_starts(text)
    assert [int(np.searchsorted(starts, end)) for end in range(len(text) + 1)] == [
        len(split_words(text[:end])) for end in range(len(text) + 1)
    ]


def test_a_very_long_line_is_split_into_words_a_few_times_and_not_for_every_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The characters that are read to count words, of a line that fills thousands of blocks."""
    read = 0

    def counted(texts: Sequence[str]) -> list[int]:
        nonlocal read
        read += sum(map(len, texts))
        assert read <= 2 * len(text)
        return count_words(texts)

    monkeypatch.setattr(encoding, "count_words", counted)
    text = "ab xyz é, " * 10_000
    blocks = encode_blocks(BACKEND, [text], 16, SEPARATOR)
    assert len(blocks.words) > 3_000
    assert int(blocks.words.sum()) == 4 * 10_000
    assert read == len(text)


@pytest.mark.parametrize("packed", [False, True])
def test_a_row_of_more_words_than_a_shard_can_say_is_refused(packed: bool) -> None:
    """A tokenizer that has one token for many dashes, each of which is a word."""
    backend = Tokenizer(models.WordLevel({**{text: i for i, text in enumerate(SPECIAL)}, "-" * 100: 5}, "[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

    def words(times: int) -> int:
        text = " ".join(["-" * 100] * times)
        made = encode_blocks(backend, [text], 1_000, SEPARATOR) if packed else encode_rows(backend, [text], 1_000)
        return int(made.words.sum())

    assert words(655) == 65_500
    with pytest.raises(ValueError, match=r"tokenize\.max_length: it lets a row have 65,600 words; .* 65,535 in a row"):
        words(656)


@pytest.mark.parametrize("lengths", [[2**30, 2**30], [2**31]])
def test_a_shard_of_more_tokens_than_its_offsets_can_say_is_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match=r"tokenize\.shard_size: a shard of 2,147,483,648 tokens; .* 2,147,483,647"):
        encoding.offsets_of(np.array(lengths))


def test_no_text_gives_no_block() -> None:
    blocks = encode_blocks(BACKEND, ["", " "], 4, SEPARATOR)
    assert (len(blocks.tokens), blocks.offsets.tolist(), blocks.empty) == (0, [0], 2)
