"""What every arm offers, and all that training, evaluation and the stages know of it.

A new system is one module with a class of this shape, one entry in `build.py` and one row in params.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from diffusionbert.corpus.batches import Batch
from diffusionbert.diffusion.bound import Terms
from diffusionbert.diffusion.sampling import Canvas, State
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.shapes import Float, Int

NO_MASK = -1  # no token has this id


@dataclass(frozen=True)
class Vocabulary:
    """What an arm knows of its tokenizer and of the training corpus; tensors are (V,)."""

    mask_id: int  # NO_MASK where the tokenizer has none: such a one serves autoregressive arms alone
    pad_id: int
    cls_id: int
    sep_id: int
    candidates: Tensor  # bool: the ids that can be a word
    counts: Tensor  # int64: training counts
    information: Tensor  # float64 nats, NaN where no candidate
    mean_information: float  # Hbar of the corpus, nats

    @property
    def size(self) -> int:
        return len(self.candidates)

    def blank(self, lengths: Int[Tensor, B]) -> Canvas:
        """A canvas of these lengths on which nothing is given."""
        return Canvas.blank(lengths, self.mask_id, self.pad_id)

    def to(self, device: torch.device) -> Vocabulary:
        return Vocabulary(
            self.mask_id,
            self.pad_id,
            self.cls_id,
            self.sep_id,
            self.candidates.to(device),
            self.counts.to(device),
            self.information.to(device),
            self.mean_information,
        )


@dataclass(frozen=True)
class Draw:
    """One draw of the forward process for a batch: the step s -> t and a uniform for every position.

    In continuous time t is real (float64) and s is not read.
    """

    s: Tensor
    t: Tensor
    uniforms: Float[Tensor, "B L"]

    def to(self, device: torch.device) -> Draw:
        return Draw(self.s.to(device), self.t.to(device), self.uniforms.to(device))


@dataclass(frozen=True)
class Figure:
    """One way an arm is scored: whether it bounds -ln p(x0) from above (or is it), and under which schedule."""

    is_bound: bool
    schedule: str
    exact: bool = False


@dataclass(frozen=True)
class Loss:
    """What a training step minimises, with its gradient; and the named terms it is the sum of, without one.

    All are scalars, in nats per token (per masked token in the warm-up). `count` is the number of tokens that the nats
    were divided by: what a batch in several pieces needs to weigh them. `observed` is what the arm wants to remember
    of every sentence of the batch, (B, K); see `Remembering`.
    """

    total: Tensor
    terms: dict[str, Tensor]
    count: Tensor
    observed: Tensor | None = None


@runtime_checkable
class Scorer(Protocol):
    """Scores a batch under every figure at once, for one draw of the forward process."""

    figures: Mapping[str, Figure]
    num_steps: int | None  # T; None where a single pass is exact and no draw is needed
    continuous: bool  # whether terms are per unit of a real t in (0, T] instead of per step

    def __call__(self, batch: Batch, draw: Draw, names: Sequence[str]) -> dict[str, Terms]:
        """The named figures' terms of the step s -> t, nats per sentence."""
        ...


@runtime_checkable
class Controlled(Protocol):
    """A scorer that knows a control variate of its figures (`diffusion/control.py`)."""

    def control(self, batch: Batch, draw: Draw, name: str) -> Float[Tensor, B]:
        """The control of a draw, nats per sentence, as its terms are: per step, or per unit of a real t."""
        ...

    def expected_control(self, batch: Batch, grid: Sequence[int], name: str) -> Float[Tensor, B]:
        """What the control adds up to over the whole grid, in expectation."""
        ...


@runtime_checkable
class Weighing(Protocol):
    """A scorer whose `valid` bound can be tightened by importance weights (`diffusion/importance.py`)."""

    def trajectory_weights(self, batch: Batch, uniforms: Float[Tensor, "B L"], grid: Sequence[int]) -> Float[Tensor, B]:
        """ln p_theta(x_{0:T}) / q(x_{1:T} | x0) of one trajectory for each sentence, drawn by its uniforms."""
        ...


@runtime_checkable
class Drawing(Protocol):
    """A scorer that draws its own steps, where its terms are large, instead of uniformly over t."""

    def draw_steps(
        self, uniforms: Float[Tensor, B], stratum: int, num_strata: int
    ) -> tuple[Tensor, Tensor, Float[Tensor, B]]:
        """s, t and the weight of their terms, (B,) each; over all strata the weighted terms are unbiased."""
        ...


@runtime_checkable
class Arm(Protocol):
    """One row of the ablation, ready to train, score, sample and save."""

    @property
    def module(self) -> nn.Module:
        """All that is trained."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokenizer's, on the arm's device."""
        ...

    @property
    def num_steps(self) -> int:
        """T of the steps that training draws from."""
        ...

    @property
    def continuous(self) -> bool:
        """Whether it trains in continuous time, t real in (0, T]."""
        ...

    @property
    def one_t_per_batch(self) -> bool:
        """Whether all sentences of a batch share their step, as the release's do."""
        ...

    @property
    def max_length(self) -> int: ...

    def loss(self, batch: Batch, draw: Draw) -> Loss:
        """The arm's objective for one draw of the forward process."""
        ...

    def warmup_loss(self, batch: Batch, draw: Draw) -> Loss:
        """Plain masked-LM cross-entropy, for the warm-up steps; the arm's own loss where it is no masked LM."""
        ...

    def scorer(self, orders: Sequence[float], released_lambda: float, *, continuous: bool = False) -> Scorer: ...

    def own_steps(self, length: int) -> tuple[int, ...]:
        """The numbers of sampling steps that the system knows for so many unknown tokens, the usual one first; empty
        where any grid will do.
        """
        ...

    def sample(self, canvas: Canvas, num_steps: int, truncation: Truncation, rng: torch.Generator) -> Iterator[State]:
        """The states of the reverse process of `num_steps` steps; the last has no [MASK] left.

        Given tokens stay as they are. Raises ValueError where the system cannot write around those of the canvas.
        """
        ...

    def save(self, folder: Path) -> None:
        """Writes a folder that `transformers` alone can load, and beside it what only this project knows."""
        ...

    def restore(self, folder: Path) -> None:
        """Reads what `save` wrote beside the model."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """An arm that keeps a statistic of its training beside its weights."""

    def remember(self, observed: Tensor) -> None:
        """Takes in what the losses of one step observed, of all sentences of the batch, (B, K)."""
        ...


@runtime_checkable
class ReleasedSampling(Protocol):
    """An arm that can also be sampled as the published code does."""

    def sample_as_released(
        self, canvas: Canvas, num_steps: int, truncation: Truncation, rng: torch.Generator
    ) -> Iterator[State]:
        """The states of its reverse process; the last may hold [MASK]."""
        ...


@runtime_checkable
class OwnStart(Protocol):
    """An arm that sets some of its first weights itself: called once, before the first step of its training."""

    def start(self) -> None:
        """Draws from torch's generator."""
        ...
