"""Batches of sentences: an endless, length-bucketed training stream, and a sorted pass for scoring.

The order is a function of the seed alone, and any step can be asked for without replaying those before it. Epochs
follow one another without a seam, so there is no partial batch and every batch has the same number of sentences. What
is kept between steps is an epoch's order, four bytes a sentence, and one pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusionbert.shapes import Bool, Int

BATCHES_PER_POOL = 50  # how many batches are sorted by length together: more pads less and mixes lengths less


class Sentences(Protocol):
    """What batches ask of a split, whether it is read from shards or made in memory."""

    @property
    def name(self) -> str: ...

    @property
    def lengths(self) -> NDArray[Any]:
        """The number of tokens of every sentence, (n,)."""
        ...

    @property
    def given(self) -> NDArray[Any] | None:
        """How many leading tokens of every row are given, (n,); None: none of any."""
        ...

    def __len__(self) -> int: ...

    def several(self, index: NDArray[np.int64]) -> Iterable[NDArray[Any]]:
        """The token ids of several sentences, in the order in which they are named."""
        ...


@dataclass(frozen=True)
class Given:
    """Sentences that stand in memory, token ids of each; offers what batches ask of a split."""

    name: str
    rows: Sequence[NDArray[np.int64]]
    given: NDArray[np.int64] | None = None

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.array([len(row) for row in self.rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def several(self, index: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
        return [self.rows[number] for number in index.tolist()]


@dataclass(frozen=True)
class Batch:
    """Sentences padded to the longest; `index` says which sentences of their split they are.

    `given` is how many leading tokens of each row are told and not to be predicted, as the source of a pair is; None
    where none of any row is. `lengths` counts them too.
    """

    tokens: Int[Tensor, "B L"]
    lengths: Int[Tensor, B]
    index: NDArray[np.int64]
    given: Int[Tensor, B] | None = None

    @property
    def counted(self) -> Bool[Tensor, "B L"]:
        """Where a token of the text stands that is not given: the positions that are noised and scored."""
        place = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        inside = place < self.lengths[:, None]
        return inside if self.given is None else inside & (place >= self.given[:, None])

    @property
    def num_counted(self) -> Int[Tensor, B]:
        """How many positions of each row are counted."""
        return self.lengths if self.given is None else self.lengths - self.given

    def to(self, device: Any) -> Batch:
        given = None if self.given is None else self.given.to(device)
        return Batch(self.tokens.to(device), self.lengths.to(device), self.index, given)

    def rows(self, first: int, stride: int) -> Batch:
        """Every `stride`-th row from `first` on, without the padding that none of them needs."""
        lengths = self.lengths[first::stride]
        given = None if self.given is None else self.given[first::stride]
        tokens = self.tokens[first::stride, : int(lengths.max())]
        return Batch(tokens, lengths, self.index[first::stride], given)


def collate(split: Sentences, index: Sequence[int] | NDArray[Any], pad_id: int) -> Batch:
    """The named sentences of a split, in that order, padded on the right."""
    index = np.asarray(index, dtype=np.int64)
    lengths = split.lengths[index].astype(np.int64)
    tokens = np.full((len(lengths), int(lengths.max())), pad_id, dtype=np.int64)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = np.concatenate(list(split.several(index)))
    given = None if split.given is None else torch.from_numpy(split.given[index].astype(np.int64))
    return Batch(torch.from_numpy(tokens), torch.from_numpy(lengths), index, given)


@dataclass(frozen=True)
class Stream:
    """The endless training stream: `batch(step)` is the batch of that step, steps counted from 0.

    Of several processes that train together each is a rank, and gets its rows of the same global batch: row r belongs
    to rank r mod `num_ranks`. So the ranks are disjoint, together they are the batch that one process would have, and
    no rank waits for another. `batch_size` is the global one. A rank pads its rows to its own longest.
    """

    split: Sentences
    batch_size: int
    seed: int
    pad_id: int
    rank: int = 0
    num_ranks: int = 1
    _orders: dict[int, NDArray[np.integer[Any]]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _pools: dict[int, NDArray[np.int64]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.split) == 0:
            raise ValueError(f"split '{self.split.name}': no sentence; nothing to train on")
        if not 0 <= self.rank < self.num_ranks:
            raise ValueError(f"rank {self.rank} of {self.num_ranks}; expected one from 0 to {self.num_ranks - 1}")
        if self.batch_size % self.num_ranks:
            raise ValueError(
                f"train.batch_size is {self.batch_size} over {self.num_ranks} processes; expected a multiple of "
                f"{self.num_ranks}, as each takes the same number of its sentences"
            )

    def batch(self, step: int) -> Batch:
        pool, place = divmod(step, BATCHES_PER_POOL)
        index = self._pool(pool)[place]
        # within a batch the rows stand in no order: the stratified steps go by row, and must not go by length
        rows = np.random.default_rng([self.seed, 2, step]).permutation(self.batch_size)
        return collate(self.split, index[rows[self.rank :: self.num_ranks]], self.pad_id)

    def _pool(self, pool: int) -> NDArray[np.int64]:
        """(batches, batch_size) sentence indices: one stretch of the shuffled epochs, bucketed by length."""
        if pool in self._pools:
            return self._pools[pool]
        size = self.batch_size * BATCHES_PER_POOL
        wanted = np.arange(pool * size, (pool + 1) * size)
        epochs, offsets = np.divmod(wanted, len(self.split))
        index = np.empty(size, dtype=np.int64)
        for epoch in np.unique(epochs):
            index[epochs == epoch] = self._order(int(epoch))[offsets[epochs == epoch]]
        index = index[np.argsort(self.split.lengths[index], kind="stable")]
        places = np.random.default_rng([self.seed, 1, pool]).permutation(BATCHES_PER_POOL)
        batches: NDArray[np.int64] = index.reshape(BATCHES_PER_POOL, self.batch_size)[places]
        self._pools.clear()
        self._pools[pool] = batches
        return batches

    def _order(self, epoch: int) -> NDArray[np.integer[Any]]:
        """The epoch's sentences in the order of the stream; the last one asked for is kept, as a pool may end in it."""
        if epoch not in self._orders:
            order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.split))
            self._orders.clear()
            self._orders[epoch] = order.astype(np.int32) if len(order) <= np.iinfo(np.int32).max else order
        return self._orders[epoch]


def in_order_of_length(split: Sentences, num_sentences: int, batch_size: int, pad_id: int) -> Iterator[Batch]:
    """The first `num_sentences` of a split (all, where it has fewer), shortest first, the last batch maybe smaller."""
    index = np.argsort(split.lengths[:num_sentences], kind="stable")
    for start in range(0, len(index), batch_size):
        yield collate(split, index[start : start + batch_size], pad_id)
