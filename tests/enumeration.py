"""The library's side of the comparison with oracle.py: a toy's schedule, and one batch of all that can happen."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from diffusionbert.diffusion.bound import Step, Terms
from diffusionbert.diffusion.schedules import Spindle
from oracle import Toy


def schedule_of(model: Toy) -> Spindle:
    """The library's schedule of a toy; [MASK] is the last id."""
    information = torch.tensor([*model.information, math.nan], dtype=torch.float64)
    if model.mean is None:
        return Spindle(model.num_steps, information, model.strength, "sentence")
    return Spindle(model.num_steps, information, model.strength, "corpus", model.mean)


def enumerated(model: Toy, grid: list[int]) -> tuple[Step, np.ndarray, np.ndarray]:
    """One batch of every (x_0, x_t, t) with a [MASK] in it, their probabilities, and the number of each x_0."""
    rows: list[tuple[int, tuple[int, ...], tuple[int, ...], int, int, float]] = []
    for number, sentence in enumerate(model.sentences):
        for s, t in itertools.pairwise(grid):
            for state, probability in model.noisy(t, sentence):
                if model.num_words in state:
                    rows.append((number, sentence, state, s, t, probability))
    numbers, sentences, states, s_column, t_column, probability = zip(*rows, strict=True)
    x0, masked = torch.tensor(sentences), torch.tensor(states) == model.num_words
    indices = [model.index(state) for state in states]
    logits = torch.from_numpy(model.logits[list(t_column), indices])[masked]
    candidates = torch.arange(model.num_words + 1) < model.num_words
    step = Step(x0, torch.ones_like(masked), masked, torch.tensor(s_column), torch.tensor(t_column), logits, candidates)
    return step, np.array(probability), np.array(numbers)


def expected(model: Toy, terms: Terms, probability: np.ndarray, numbers: np.ndarray) -> dict[tuple[int, ...], float]:
    """E_q of the summed terms, sentence by sentence."""
    sums = np.bincount(numbers, probability * terms.total.numpy(), minlength=len(model.sentences))
    return dict(zip(model.sentences, sums.tolist(), strict=True))
