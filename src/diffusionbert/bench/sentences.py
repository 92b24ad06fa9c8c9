"""Sentences of many lengths, made up or from a file, for length-bucketed batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from diffusionbert.bench.subjects import NUM_SPECIAL, Size, words
from diffusionbert.corpus.batches import Stream

# News sentences of the default profile in WordPiece: about 27 tokens on average, log-normal to the eye.
MEAN_LENGTH, SPREAD = 26.0, 0.52


@dataclass(frozen=True)
class Sentences:
    """One flat array of ids; offers what `corpus.batches` reads of a split."""

    flat: NDArray[np.int64]
    lengths: NDArray[np.int64]
    name: str = "train"
    given: None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def tokens(self, sentence: int) -> NDArray[np.int64]:
        start = int(self._starts[sentence])
        return self.flat[start : start + int(self.lengths[sentence])]

    def several(self, index: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return [self.tokens(sentence) for sentence in index.tolist()]

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], self.lengths.cumsum()[:-1]])


def like_news(size: Size, number: int) -> Sentences:
    """Made-up sentences with lengths as news has them, cut at the size's longest."""
    rng = np.random.default_rng(1)
    drawn = rng.lognormal(np.log(MEAN_LENGTH) - SPREAD**2 / 2, SPREAD, number)
    lengths = np.clip(drawn.round(), 1, size.length - 2).astype(np.int64)
    return Sentences(words(size, int(lengths.sum()), seed=2), lengths)


def read(path: Path, size: Size) -> Sentences:
    """Sentences of an .npz file: `tokens`, all ids one after another, and `lengths`, how many each sentence has.

    Raises ValueError naming the file when the arrays are not these or do not fit the vocabulary or the length.
    """
    flat, lengths = (array.astype(np.int64) for array in _arrays(path))
    if len(lengths) == 0 or lengths.min() < 1 or lengths.sum() != len(flat):
        raise ValueError(
            f"{path}: lengths sum to {lengths.sum()} over {len(flat)} tokens; expected them equal, all > 0"
        )
    if lengths.max() > size.length - 2:
        raise ValueError(f"{path}: a sentence of {lengths.max()} tokens; expected at most {size.length - 2}")
    if flat.min() < NUM_SPECIAL or flat.max() >= size.vocab_size:
        raise ValueError(
            f"{path}: ids from {flat.min()} to {flat.max()}; expected {NUM_SPECIAL} to {size.vocab_size - 1}"
        )
    return Sentences(flat, lengths)


def _arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two arrays as the file has them, both flat and of whole numbers."""
    try:
        file = np.load(path)
        found = dict(file) if isinstance(file, np.lib.npyio.NpzFile) else {"(one array)": file}
    except (ValueError, EOFError, BadZipFile) as error:  # an array of objects is a ValueError, too
        raise ValueError(f"{path}: not an .npz file ({str(error).splitlines()[0]})") from None
    if {"tokens", "lengths"} - set(found):
        raise ValueError(
            f"{path}: holds {', '.join(sorted(found)) or 'nothing'}; expected the arrays tokens and lengths"
        )
    for name in ("tokens", "lengths"):
        if found[name].ndim != 1 or found[name].dtype.kind not in "iu":
            raise ValueError(
                f"{path}: {name} is an array of {found[name].dtype} with {found[name].ndim} dimensions; expected "
                "whole numbers with one"
            )
    return found["tokens"], found["lengths"]


def stream_of(sentences: Sentences, size: Size, pad_id: int) -> Stream:
    split: Any = sentences  # a split in all that a stream asks of it
    return Stream(split, size.batch, 0, pad_id)


def padding_share(stream: Stream, num_batches: int) -> float:
    """The share of positions that hold padding; [CLS] and [SEP] are not counted."""
    batches = [stream.batch(step) for step in range(num_batches)]
    real = sum(int(batch.lengths.sum()) for batch in batches)
    return 1 - real / sum(batch.tokens.numel() for batch in batches)
