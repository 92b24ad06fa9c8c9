"""One step: what it draws, its loss and its gradient, whole or in pieces on several processes.

A batch in pieces is the same batch. Piece m of the accumulation on rank r of N has the rows r + N m, r + N (m + A), ...
of the global one, with the steps and the noise that they would have there. Each piece's loss is per token of its own,
so it is weighed by its tokens, and the gradient is divided by all the batch's at the end:

    grad = sum over pieces (count x grad loss) / sum over pieces count
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diffusionbert.arms.base import Arm, Draw, Loss, Remembering
from diffusionbert.corpus.batches import Batch, Stream
from diffusionbert.diffusion.absorbing import low_discrepancy_steps, low_discrepancy_times
from diffusionbert.diffusion.draws import Purpose, generator, uniforms
from diffusionbert.training.distribution import Distribution
from diffusionbert.training.settings import Autocast, Settings


@dataclass(frozen=True)
class Share:
    """Which rows of the global batch a piece has: those from `first` on, every `stride`-th of `batch_size`."""

    first: int
    stride: int
    batch_size: int


def draw_for(arm: Arm, batch: Batch, step: int, seed: int, share: Share | None = None) -> Draw:
    """The step s = t - 1 -> t, or a real t, and the uniforms of a training batch, or of its share of the global one."""
    rows = len(batch.lengths) if share is None else share.batch_size
    offset = generator(seed, Purpose.STEP, step).random()
    low_discrepancy = low_discrepancy_times if arm.continuous else low_discrepancy_steps
    t = low_discrepancy(offset, 1 if arm.one_t_per_batch else rows, arm.num_steps).expand(rows)
    if share is not None:
        t = t[share.first :: share.stride]
    noise = uniforms(seed, Purpose.MASK, step=step, indices=batch.index, length=batch.tokens.shape[1])
    return Draw(t - 1, t, noise)


class Objective(nn.Module):
    """An arm's loss as the forward pass of a module, which is what can be wrapped for several processes."""

    def __init__(self, arm: Arm) -> None:
        super().__init__()
        self.trained = arm.module
        self._losses: dict[bool, Callable[[Batch, Draw], Loss]] = {False: arm.loss, True: arm.warmup_loss}

    def forward(self, batch: Batch, draw: Draw, warming: bool) -> Loss:
        return self._losses[warming](batch, draw)


@dataclass(frozen=True)
class Step:
    """A step whose numbers may still be on their way: reading one waits for the device to have computed it."""

    step: int
    index: NDArray[np.int64]  # of its sentences on this rank
    total: Tensor
    named: dict[str, Tensor]
    norm: Tensor
    tokens: int | Tensor
    stopping: bool | Tensor  # whether some rank was asked to stop before this step

    def terms(self) -> dict[str, float]:
        """The terms of its loss. Raises ValueError naming step and sentences when it was not finite."""
        for name, value in (("loss", float(self.total)), ("gradient norm", float(self.norm))):
            if not math.isfinite(value):
                first = ", ".join(str(index) for index in self.index[:8])
                raise ValueError(
                    f"the {name} is {value} at step {self.step}, batch of train sentences {first}, ...; expected a "
                    "finite number. Lower train.learning_rate or look at these sentences"
                )
        return {name: float(term) for name, term in self.named.items()}


@dataclass(frozen=True)
class Steps:
    """Makes the steps of one run on one rank: losses and gradients; the optimiser is not its business."""

    arm: Arm
    stream: Stream
    wrapped: nn.Module  # of an Objective
    distribution: Distribution
    autocast: Autocast
    device: torch.device
    seed: int
    warmup: int
    accumulate: int
    grad_clip: float
    parameters: list[nn.Parameter] = field(repr=False)

    @property
    def in_pieces(self) -> bool:
        return self.distribution.num_ranks * self.accumulate > 1

    def make(self, step: int, *, asked_to_stop: bool) -> Step:
        """Leaves the clipped gradient of the global batch in the parameters."""
        batch = self.stream.batch(step)
        if self.in_pieces:
            losses = [self._of_piece(batch, step, number) for number in range(self.accumulate)]
            told = self._summed(losses, batch, asked_to_stop)
        else:
            losses = [self._loss(batch, step, None)]
            losses[0].total.backward()  # type: ignore[no-untyped-call]
            told = _of_one(losses[0], batch, asked_to_stop)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.grad_clip)
        self._remember(losses)
        return Step(step=step, index=batch.index, norm=norm, **told)

    def _of_piece(self, batch: Batch, step: int, number: int) -> Loss:
        """The loss of one piece of the rank's rows; adds the gradient of its sum, not of its mean."""
        ranks = self.distribution.num_ranks
        share = Share(self.distribution.rank + ranks * number, ranks * self.accumulate, self.stream.batch_size)
        last = number + 1 == self.accumulate
        with nullcontext() if last else self.distribution.without_exchange(self.wrapped):
            loss = self._loss(_piece(batch, number, self.accumulate), step, share)
            (loss.total * loss.count).backward()  # type: ignore[no-untyped-call]
        return loss

    def _loss(self, batch: Batch, step: int, share: Share | None) -> Loss:
        draw = draw_for(self.arm, batch, step, self.seed, share).to(self.device)
        with self.autocast():
            loss: Loss = self.wrapped(batch.to(self.device), draw, step < self.warmup)
        return loss

    def _summed(self, losses: list[Loss], batch: Batch, asked_to_stop: bool) -> dict[str, Any]:
        """Sums what the pieces of all ranks have, in one message, and divides the gradient by their tokens."""
        names = list(losses[0].terms)
        own = [
            torch.stack([value.detach().double() for value in (torch.ones_like(loss.total), loss.total, *terms)])
            * loss.count
            for loss in losses
            for terms in [[loss.terms[name] for name in names]]
        ]
        here = torch.tensor([int(asked_to_stop), int(batch.lengths.sum())], dtype=torch.float64, device=self.device)
        summed = self.distribution.sum(torch.cat([here, torch.stack(own).sum(0)]))
        count = summed[2].clamp(min=1)
        scale = self.distribution.num_ranks / count  # the exchange has averaged over ranks
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(scale.to(parameter.grad.dtype))
        total, *terms = summed[3:] / count
        named = dict(zip(names, terms, strict=True))
        return {"total": total, "named": named, "tokens": summed[1], "stopping": summed[0]}

    def _remember(self, losses: list[Loss]) -> None:
        observed = [loss.observed for loss in losses if loss.observed is not None]
        if observed and isinstance(self.arm, Remembering):
            self.arm.remember(self.distribution.rows(torch.cat(observed)))


def steps_of(
    arm: Arm,
    stream: Stream,
    settings: Settings,
    distribution: Distribution,
    autocast: Autocast,
    device: torch.device,
    seed: int,
) -> Steps:
    """The steps of a run; the arm's module must be on the device already."""
    return Steps(
        arm=arm,
        stream=stream,
        wrapped=distribution.wrap(Objective(arm)),
        distribution=distribution,
        autocast=autocast,
        device=device,
        seed=seed,
        warmup=settings.warmup,
        accumulate=settings.accumulate,
        grad_clip=settings.grad_clip,
        parameters=list(arm.module.parameters()),
    )


def _of_one(loss: Loss, batch: Batch, asked_to_stop: bool) -> dict[str, Any]:
    tokens = int(batch.lengths.sum())
    return {"total": loss.total.detach(), "named": loss.terms, "tokens": tokens, "stopping": asked_to_stop}


def _piece(batch: Batch, number: int, pieces: int) -> Batch:
    """Every `pieces`-th row from `number` on, without the padding that none of them needs."""
    return batch if pieces == 1 else batch.rows(number, pieces)
