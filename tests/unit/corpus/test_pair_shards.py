"""Rows of pairs: what is given, what is cut and filled up, what the shards keep and what is counted of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffusionbert.corpus.batches import Stream, collate
from diffusionbert.corpus.encoding import encode, plain_tokenizer, tokenizer_text
from diffusionbert.corpus.pair_encoding import PairRows, encode_pairs
from diffusionbert.corpus.shard_writer import Rows, write_shards
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import candidate_mask, count_tokens
from diffusionbert.corpus.text import SPLITS, read_pairs
from diffusionbert.corpus.tokenizers import saved_tokenizer, special_ids
from diffusionbert.files import read_json
from diffusionbert.words import split_words

MAX_SOURCE, MAX_TARGET = 10, 12


@pytest.fixture(scope="module")
def tokenizer(grammar_shards: Path) -> Any:
    return saved_tokenizer(grammar_shards / "tokenizer")


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return found


def test_a_row_is_source_separator_target_and_ends(pair_text: Path, pair_shards: Path, tokenizer: Any) -> None:
    shards = Shards.open(pair_shards)
    end = shards.special.sep_id
    assert shards.padded
    for name in SPLITS:
        split, expected = shards[name], list(read_pairs(pair_text, name))
        assert len(split) == len(expected)
        assert split.texts("source", len(split)) == [source for source, _ in expected]
        assert split.texts("target", 3) == [target for _, target in expected[:3]]
        assert split.given is not None
        for row, (source, target) in enumerate(expected):
            first, second = ids(tokenizer, source)[:MAX_SOURCE], ids(tokenizer, target)[:MAX_TARGET]
            given = [*first, end] if first else []
            fill = [end] * (MAX_TARGET - len(second))
            assert split.tokens(row).tolist() == [*given, *second, *fill]
            assert split.given[row] == len(given)
            assert split.words[row] <= len(split_words(target))
            if fill:
                assert split.words[row] == len(split_words(target))
    counted = shards.manifest["splits"]["train"]
    assert counted["given"] == int(shards["train"].given.sum())
    assert counted["truncated"] > 0
    assert counted["truncated_sources"] > 0
    assert counted["ends"] > 0


def test_targets_alone_are_counted(pair_shards: Path) -> None:
    shards = Shards.open(pair_shards)
    split, size = shards["train"], shards.special.vocab_size
    assert len(split.paths) > 1, "several shards"
    expected = np.zeros(size, dtype=np.int64)
    assert split.given is not None
    for row, given in enumerate(split.given.tolist()):
        np.add.at(expected, split.tokens(row)[given:], 1)
    counts = count_tokens(split, size)
    assert np.array_equal(counts, expected)
    candidates = candidate_mask(shards.special)
    assert candidates[shards.special.sep_id], "the end token can be drawn"
    assert counts[~candidates].sum() == 0


def test_given_length_has_no_end_tokens(pair_text: Path, tmp_path: Path, tokenizer: Any) -> None:
    rows = Rows(128, pairs=PairRows(None, 20, padded=False))
    special = special_ids(tokenizer, "words")
    write_shards(pair_text, tmp_path / "shards", tokenizer, special, rows, shard_size=1000)
    shards = Shards.open(tmp_path / "shards")
    assert not shards.padded
    assert shards.manifest["splits"]["train"]["truncated_sources"] == 0
    assert count_tokens(shards["train"], special.vocab_size)[special.sep_id] == 0
    assert not candidate_mask(shards.special)[special.sep_id]
    for row, (source, target) in enumerate(read_pairs(pair_text, "test")):
        kept = len(ids(tokenizer, source)) + bool(source) + min(20, len(ids(tokenizer, target)))
        assert shards["test"].lengths[row] == kept


def test_a_source_that_leaves_no_room_is_named_or_skipped_and_counted(tokenizer: Any) -> None:
    backend = plain_tokenizer(tokenizer_text(tokenizer))
    long = "the end of " * 20
    lines = ["the end\tof it", f"{long}\tof it", "of it\tthe end"]
    with pytest.raises(ValueError, match=r"^corpus, split 'test', line 52: a source of \d+ tokens \('the end of"):
        encode_pairs(backend, lines, 32, PairRows(None, 12, padded=True), 3, "corpus, split 'test'", 50)
    encoded = encode_pairs(backend, lines, 32, PairRows(None, 12, padded=True, skip_long=True), 3, "")
    assert encoded.pairs is not None
    assert (encoded.pairs.skipped_long, encoded.texts) == (1, 2)
    assert encoded.pairs.targets == ["of it", "the end"]
    truncated = encode_pairs(backend, lines, 32, PairRows(10, 12, padded=True), 3, "")
    assert truncated.pairs is not None
    assert (truncated.pairs.truncated_sources, truncated.pairs.skipped_long) == (1, 0)


def test_special_tokens_that_a_target_spells_out_are_text(tokenizer: Any) -> None:
    backend = plain_tokenizer(tokenizer_text(tokenizer))
    encoded = encode_pairs(backend, ["the end\tthe [SEP] end"], 32, PairRows(10, 20, padded=False), 3, "")
    assert encoded.pairs is not None
    assert 3 not in encoded.tokens[encoded.pairs.given[0] :]


@pytest.mark.parametrize("line", ["no tab", "a\t", "a\tb\tc"])
def test_a_line_that_is_no_pair_is_named(line: str, tokenizer: Any) -> None:
    backend = plain_tokenizer(tokenizer_text(tokenizer))
    with pytest.raises(ValueError, match=r"^here, line 1: no pair; expected a source, a tab and a target"):
        encode_pairs(backend, [line], 32, PairRows(10, 12, padded=True), 3, "here")


def test_batches_carry_what_is_given(pair_shards: Path) -> None:
    shards = Shards.open(pair_shards)
    split = shards["train"]
    batch = Stream(split, 16, 0, shards.special.pad_id).batch(3)
    assert batch.given is not None
    assert split.given is not None
    assert batch.given.tolist() == split.given[batch.index].tolist()
    assert bool((batch.counted.sum(-1) == MAX_TARGET).all()), "all of the target and nothing else"
    assert batch.num_counted.tolist() == [MAX_TARGET] * 16
    for row, given in enumerate(batch.given.tolist()):
        assert batch.counted[row].nonzero()[0].item() == given
    piece = batch.rows(1, 4)
    assert piece.given is not None
    assert piece.given.tolist() == batch.given[1::4].tolist()
    assert piece.index.tolist() == batch.index[1::4].tolist()


def test_shards_of_sentences_say_nothing_of_pairs(grammar_shards: Path) -> None:
    shards = Shards.open(grammar_shards)
    assert "pairs" not in shards.manifest
    assert not {"given", "ends", "skipped_long"} & set(shards.manifest["splits"]["train"])
    assert shards["train"].given is None
    assert collate(shards["train"], range(4), 0).given is None
    assert read_json(grammar_shards / "manifest.json")["format"] == 2


def test_an_encoded_sentence_is_no_pair(tokenizer: Any) -> None:
    assert encode(tokenizer, ["the end"], 8).pairs is None
