"""Our training step, timed inside `training.train` itself, and what it is compared with, in turns.

The loop asks its stream for a batch at the start of every step. The stream given to it here lets the others take
their turn before it hands a batch over, so that the code that is timed is the code that trains: draws, loss, backward
pass, clipping, optimiser, learning rate and bookkeeping.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from diffusionbert import training
from diffusionbert.arms.absorbing import Absorbing
from diffusionbert.arms.base import Draw
from diffusionbert.bench.clock import Samples, Stopwatch
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.corpus.batches import Batch

OURS = "ours"
Autocast = Callable[[], AbstractContextManager[Any]]
# What prepares a rival's step outside the clock: a loader would have masked the sentences already.
Rival = Callable[[Batch, Draw], Callable[[], object]]


class _Turns:
    """A stream of training whose `batch` also times: ours from one batch to the next, then every rival's step."""

    def __init__(
        self,
        batch: Callable[[int], Batch],
        draw: Callable[[Batch, int], Draw],
        rivals: Mapping[str, Rival],
        *,
        pieces: int,
        device: torch.device,
    ) -> None:
        self._batch, self._draw, self._rivals, self._pieces = batch, draw, rivals, pieces
        self._watch = Stopwatch(device)
        self.samples = {name: Samples() for name in (OURS, *rivals)}

    def batch(self, step: int) -> Batch:
        batch = self._batch(step)
        if step % self._pieces == 0:
            if step > 0:
                self._watch.stop(self.samples[OURS], self._pieces)
            for name, rival in self._rivals.items():
                ready = [
                    rival(turn, self._draw(turn, number))
                    for number in range(step, step + self._pieces)
                    for turn in [self._batch(number)]
                ]
                self._watch.start()
                for call in ready:
                    call()
                self._watch.stop(self.samples[name], self._pieces)
            self._watch.start()
        return batch


def step_times(
    arm: Absorbing,
    batch: Callable[[int], Batch],
    rivals: Mapping[str, Rival],
    *,
    repeats: int,
    pieces: int = 1,
    warm: int = 1,
    device: torch.device,
    autocast: Autocast,
    label: str = "steps",
) -> dict[str, Samples]:
    """Times of `repeats` rounds, in each of which ours and every rival make `pieces` steps on the same batches.

    The first `warm` rounds are not counted.
    """
    steps = (repeats + warm) * pieces + 1  # a round's time ends where the next one begins
    turns = _Turns(
        batch, lambda turn, step: training.draw_for(arm, turn, step, 0), rivals, pieces=pieces, device=device
    )
    stream: Any = turns
    with tempfile.TemporaryDirectory() as folder:
        training.train(
            arm,
            stream,
            _settings(steps, len(batch(0).lengths)),
            seed=0,
            device=device,
            autocast=autocast,
            checkpoint=Checkpoint(Path(folder), "bench"),
            validate=dict,
            log=lambda values, step: None,
            label=label,
        )
    counted = {OURS: slice(warm, None), **dict.fromkeys(rivals, slice(warm, -1))}
    return {
        name: Samples(samples.wall[counted[name]], samples.processor[counted[name]])
        for name, samples in turns.samples.items()
    }


def _settings(steps: int, batch_size: int) -> training.Settings:
    return training.Settings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=1e-4,
        lr_warmup_steps=0,
        lr_decay="constant",
        weight_decay=0.01,
        grad_clip=1.0,
        warmup=0,
        log_every=steps,
        valid_every=steps,
        valid_sentences=1,
        valid_strata=1,
        checkpoint_every=steps,
    )
