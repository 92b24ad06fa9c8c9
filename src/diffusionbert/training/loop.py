"""The loop: steps, and between them what is told, validated and kept."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import torch

from diffusionbert.arms.base import Arm
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.corpus.batches import Stream
from diffusionbert.progress import track
from diffusionbert.training.distribution import ALONE, Distribution
from diffusionbert.training.settings import (
    COMPARED,
    SENTENCES,
    Autocast,
    History,
    Log,
    Settings,
    StoppedError,
    Validate,
)
from diffusionbert.training.state import Run, seed_dropout
from diffusionbert.training.step import Step, steps_of


def train(
    arm: Arm,
    stream: Stream,
    settings: Settings,
    *,
    seed: int,
    device: torch.device,
    autocast: Autocast,
    checkpoint: Checkpoint,
    validate: Validate,
    log: Log,
    label: str,
    distribution: Distribution = ALONE,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> History:
    """Trains the arm in place for `settings.steps` steps, from its checkpoint where there is one.

    `stream` gives this rank's rows; `validate` is called by every rank and gives all the same numbers. Raises
    ValueError naming step and sentences when a loss or a gradient is not finite, and StoppedError once
    `asked_to_stop` on some rank and the state is written; the checkpoint stays.
    """
    module = arm.module.to(device)
    run, leads, alone = Run.of(module, settings, device), distribution.rank == 0, distribution.num_ranks == 1
    first = _start(run, checkpoint, seed, distribution, label)
    keeper = _Keeper(run, checkpoint, validate, log, distribution)
    if first == 0:
        keeper.validate(0)
    steps = steps_of(arm, stream, settings, distribution, autocast, device, seed)
    module.train()
    waiting: Step | None = None
    stopping = False
    for step in track(range(first, settings.steps), label=label, total=settings.steps, done=first):
        made = steps.make(step, asked_to_stop=not alone and asked_to_stop())
        run.update()
        if waiting is not None:
            stopping |= run.take(waiting)
        if alone:
            stopping |= asked_to_stop()  # several learn it of each other, from a step's numbers when they are read
        waiting, done = made, step + 1
        last = done == settings.steps
        if stopping or last or any(done % every == 0 for every in settings.pauses):
            stopping |= run.take(waiting)
            waiting = None
        if done % settings.log_every == 0 or last:
            keeper.tell(done)
        if done % settings.valid_every == 0 or last:
            keeper.validate(done)
            module.train()
        if not last and (stopping or done % settings.checkpoint_every == 0):
            state = run.state(done, distribution)
            if leads:
                checkpoint.write(state, kept=settings.checkpoints_kept)
        if stopping and not last:
            raise StoppedError(done)
    keeper.choose()
    return run.history


def _start(run: Run, checkpoint: Checkpoint, seed: int, distribution: Distribution, label: str) -> int:
    """The number of steps done: those of the checkpoint, or none. Raises ValueError when ranks found different ones."""
    state = checkpoint.read()
    first = int(state["step"]) if state is not None else 0
    found = distribution.objects(first)
    if len(set(found)) > 1:
        raise ValueError(
            f"{checkpoint.folder}: the processes found the states of steps {', '.join(map(str, found))}; expected the "
            "same one, in a folder that they share"
        )
    if state is None:
        seed_dropout(seed, distribution.rank)
        return 0
    if distribution.rank == 0:
        print(f"{label}: resuming from step {first}", file=sys.stderr)
    return run.restore(state, seed, distribution)


class _Keeper:
    """What a run tells, validates and keeps of itself between its steps."""

    def __init__(
        self, run: Run, checkpoint: Checkpoint, validate: Validate, log: Log, distribution: Distribution
    ) -> None:
        self._run, self._checkpoint, self._validate, self._log = run, checkpoint, validate, log
        self._leads = distribution.rank == 0
        self._keeps_best = run.settings.keep == "best"
        best = checkpoint.best() if self._keeps_best else None
        self._best = float("inf") if best is None else float(best["compared"])
        validated = [row["step"] for row in run.history.validation if row["step"] > 0]
        if self._keeps_best and best is None and validated and self._leads:
            after = int(validated[-1])
            print(
                f"{checkpoint.best_path}: no such file; the best will be of those after step {after}", file=sys.stderr
            )

    def tell(self, done: int) -> None:
        self._run.history.losses.append(self._run.averaged_losses(done))
        self._log(self._run.history.losses[-1], done)

    def validate(self, done: int) -> None:
        """With the averaged weights where there are any, and without dropout; what is best of all is kept if asked."""
        run = self._run
        run.module.eval()
        with run.average.in_place():
            numbers = dict(self._validate())
            if self._keeps_best and not math.isfinite(numbers[COMPARED]):
                raise ValueError(
                    f"the validation after step {done} gives {numbers[COMPARED]} nats; expected a finite number. Lower "
                    "train.learning_rate"
                )
            if (nats := numbers.pop(SENTENCES, None)) is not None:
                run.history.sentences.append(nats)
            run.history.validation.append({"step": done, **numbers})
            if self._keeps_best and done > 0 and numbers[COMPARED] < self._best:
                self._best = numbers[COMPARED]
                if self._leads:
                    state = {"step": done, "compared": self._best, "module": run.module.state_dict()}
                    self._checkpoint.write_best(state)
        if done > 0:
            self._log({f"valid_{name}": value for name, value in numbers.items()}, done)

    def choose(self) -> None:
        """Leaves in the module the weights that are to be saved: the last, or the best that validation saw."""
        run = self._run
        run.module.eval()
        run.average.swap()
        if self._keeps_best and self._leads:  # only this rank saves them
            best = self._checkpoint.best()
            assert best is not None, "the last step is validated"
            run.module.load_state_dict(best["module"])
            run.history.kept_step = int(best["step"])
