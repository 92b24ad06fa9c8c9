"""Uniform draws keyed by what they are for: (seed, purpose, step, sentence), by a counter-based generator.

A draw depends on its key alone: not on the batch a sentence stands in, the order of batches, the rank that holds it,
or how many draws came before. That is what makes arms paired, restarts exact and ranks agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from diffusionbert.shapes import Float


class Purpose(IntEnum):
    """What a stream of draws is for; streams of different purposes never overlap."""

    ORDER = 0
    STEP = 1
    MASK = 2
    EVALUATION_STEP = 3
    EVALUATION_MASK = 4
    SAMPLE = 5
    LENGTH = 6
    EVALUATION_TRAJECTORY = 7


def generator(seed: int, purpose: Purpose, step: int = 0, index: int = 0) -> np.random.Generator:
    """The stream of one key, Philox (Salmon et al. 2011), in float64."""
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, 0, step, index]))


def uniforms(
    seed: int, purpose: Purpose, *, step: int, indices: Sequence[int] | np.ndarray, length: int
) -> Float[Tensor, "B L"]:
    """`length` uniforms in [0, 1) for each sentence index, float64; a shorter length is a prefix of a longer one."""
    rows = [generator(seed, purpose, step, int(index)).random(length) for index in indices]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, length, dtype=torch.float64)
