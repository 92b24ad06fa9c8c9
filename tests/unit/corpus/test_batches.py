"""The training stream: an order of the seed alone, shared between ranks, gathered from the shards' memory maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffusionbert.corpus.batches import BATCHES_PER_POOL, Given, Stream, collate
from diffusionbert.corpus.shards import Shards, Split


@pytest.fixture
def split(grammar_shards: Path) -> Split:
    return Shards.open(grammar_shards)["train"]


def _numbered(size: int) -> Given:
    """Sentences of one to nine tokens, each its own number."""
    return Given("train", [np.full(1 + number * 7 % 9, number) for number in range(size)])


def _first_order(given: Given, batch_size: int, seed: int, step: int) -> list[int]:
    """The definition, written out: shuffled epochs without a seam, sorted in pools, pools and rows shuffled."""
    size, length = batch_size * BATCHES_PER_POOL, given.lengths
    pool, place = divmod(step, BATCHES_PER_POOL)
    epochs = range((pool + 1) * size // len(given) + 1)
    stream = np.concatenate([np.random.default_rng([seed, 0, epoch]).permutation(len(given)) for epoch in epochs])
    index = sorted(stream[pool * size : (pool + 1) * size].tolist(), key=lambda number: length[number])
    place = int(np.random.default_rng([seed, 1, pool]).permutation(BATCHES_PER_POOL)[place])
    rows = np.random.default_rng([seed, 2, step]).permutation(batch_size)
    return [index[place * batch_size + row] for row in rows]


@pytest.mark.parametrize("size", [3, 120, 1000])
def test_the_order_is_the_one_defined(size: int) -> None:
    given = _numbered(size)
    stream = Stream(given, 4, 5, pad_id=0)
    for step in (0, 7, 49, 50, 199, 12, 260):
        assert stream.batch(step).index.tolist() == _first_order(given, 4, 5, step)


def test_a_stream_that_starts_anywhere_goes_on_as_one_that_ran(split: Split) -> None:
    ran = Stream(split, 8, 1, 0)
    batches = [ran.batch(step) for step in range(120)]
    for step in (119, 3, 60):
        assert np.array_equal(Stream(split, 8, 1, 0).batch(step).tokens, batches[step].tokens)


@pytest.mark.parametrize("num_ranks", [1, 2, 4])
def test_ranks_share_the_global_batch(split: Split, num_ranks: int) -> None:
    alone = Stream(split, 8, 0, 0)
    ranks = [Stream(split, 8, 0, 0, rank, num_ranks) for rank in range(num_ranks)]
    for step in (0, 51, 400):
        whole, parts = alone.batch(step), [stream.batch(step) for stream in ranks]
        for rank, part in enumerate(parts):
            assert np.array_equal(part.index, whole.index[rank::num_ranks])
            assert part.tokens.shape[1] == int(part.lengths.max())
        assert sorted(index for part in parts for index in part.index.tolist()) == sorted(whole.index.tolist())


def test_over_an_epoch_the_ranks_see_every_sentence_once() -> None:
    size, batch_size = 600, 4  # three pools, so that the epoch ends with a batch
    ranks = [Stream(_numbered(size), batch_size, 0, 0, rank, 2) for rank in range(2)]
    for epoch in range(2):
        steps = range(epoch * size // batch_size, (epoch + 1) * size // batch_size)
        seen = [[index for step in steps for index in stream.batch(step).index.tolist()] for stream in ranks]
        assert len(seen[0]) == len(seen[1])
        assert sorted(seen[0] + seen[1]) == list(range(size))


def test_an_order_of_thirty_million_takes_four_bytes_a_sentence() -> None:
    stream = Stream(_numbered(100), 4, 0, 0)
    for step in range(0, 400, 10):
        stream.batch(step)
    assert [order.dtype for order in stream._orders.values()] == [np.int32]
    assert len(stream._pools) == 1


def test_rows_are_the_shards_own_tokens(split: Split) -> None:
    index = np.array([len(split) - 1, 0, 151, 149, 0])
    batch = collate(split, index, pad_id=9)
    for row, sentence in enumerate(index.tolist()):
        length = int(batch.lengths[row])
        assert batch.tokens[row, :length].tolist() == split.tokens(sentence).tolist()
        assert set(batch.tokens[row, length:].tolist()) <= {9}
    assert len(list(split.several(np.array([], dtype=np.int64)))) == 0
    for outside in (-1, len(split)):
        with pytest.raises(IndexError):
            list(split.several(np.array([0, outside])))


def test_padding_is_small(split: Split) -> None:
    batches = [Stream(split, 16, 0, 0).batch(step) for step in range(100)]
    real = sum(int(batch.lengths.sum()) for batch in batches)
    assert real / sum(batch.tokens.numel() for batch in batches) > 0.9


def test_what_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"train\.batch_size is 8 over 3 processes; expected a multiple of 3"):
        Stream(_numbered(10), 8, 0, 0, 0, 3)
    with pytest.raises(ValueError, match="rank 2 of 2; expected one from 0 to 1"):
        Stream(_numbered(10), 8, 0, 0, 2, 2)
    with pytest.raises(ValueError, match="nothing to train on"):
        Stream(_numbered(0), 8, 0, 0)
