"""What the stages that sample begin from: nothing but a length, or the sources of the test split's first pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from diffusionbert.arms.base import Arm
from diffusionbert.corpus.batches import in_order_of_length
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.special import up_to_end
from diffusionbert.diffusion.sampling import Canvas


@dataclass(frozen=True)
class Start:
    """The canvas of a batch, and which samples its rows are."""

    index: NDArray[np.int64]
    canvas: Canvas

    def num_steps(self, arm: Arm, wanted: int) -> int:
        """How many steps fill it: the first of the system's own numbers, or as many as are wanted."""
        return next(iter(arm.own_steps(int(self.canvas.masked.sum(-1).max()))), wanted)


def starts(
    arm: Arm, shards: Shards, *, num_samples: int, length: int, batch_size: int, device: torch.device, key: str
) -> Iterator[Start]:
    """The canvases of `num_samples` samples; those of pairs in order of length, the others all of `length` tokens.

    Raises ValueError naming `key`, a section of params, when the arm does not hold so many tokens.
    """
    if shards.has_pairs:
        yield from _of_pairs(arm, shards, num_samples, batch_size, device)
        return
    if length > arm.max_length:
        raise ValueError(f"{key}.length: found {length}; the backbone holds at most {arm.max_length} tokens")
    for first in range(0, num_samples, batch_size):
        index = np.arange(first, min(first + batch_size, num_samples))
        yield Start(index, arm.vocabulary.blank(torch.full((len(index),), length, device=device)))


def _of_pairs(arm: Arm, shards: Shards, num_samples: int, batch_size: int, device: torch.device) -> Iterator[Start]:
    vocabulary = arm.vocabulary
    for batch in in_order_of_length(shards["test"], num_samples, batch_size, vocabulary.pad_id):
        there = batch.to(device)
        assert there.given is not None, "the rows are pairs"
        canvas = Canvas.of_pairs(there.tokens, there.given, there.lengths, vocabulary.mask_id, vocabulary.pad_id)
        yield Start(batch.index, canvas)


def written(canvas: Canvas, filled: torch.Tensor, end_id: int | None) -> list[list[int]]:
    """What was written on each row of a canvas, up to its first end token where there is one to look for."""
    rows = []
    for tokens, where in zip(filled.tolist(), canvas.masked.tolist(), strict=True):
        rows.append(up_to_end([token for token, unknown in zip(tokens, where, strict=True) if unknown], end_id))
    return rows
