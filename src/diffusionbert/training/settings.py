"""What a run is told, and what it tells of itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

Log = Callable[[dict[str, float], int], None]
SENTENCES = "nats"  # of a validation, where it has them: those of every sentence, a list
Validate = Callable[[], dict[str, Any]]
Autocast = Callable[[], AbstractContextManager[Any]]

COMPARED = "nats_per_sentence"  # of a validation: the least is the best


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The `train` section of params.yaml, field by field."""

    steps: int
    batch_size: int  # of all processes and pieces together
    learning_rate: float
    lr_warmup_steps: int
    lr_decay: str
    weight_decay: float
    grad_clip: float
    warmup: int
    log_every: int
    valid_every: int
    valid_sentences: int
    valid_strata: int
    checkpoint_every: int
    accumulate: int = 1
    ema_decay: float | None = None
    keep: Literal["last", "best"] = "last"
    checkpoints_kept: int = 2

    @property
    def pauses(self) -> tuple[int, ...]:
        """After so many steps something is told or written: all before it must be known to be finite."""
        return self.log_every, self.valid_every, self.checkpoint_every

    def __post_init__(self) -> None:
        if self.warmup > self.steps:
            raise ValueError(f"train.warmup is {self.warmup}; expected at most train.steps = {self.steps}")
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"train.accumulate is {self.accumulate}; expected at most train.batch_size = {self.batch_size}"
            )


@dataclass
class History:
    """What a run tells of itself; rows of plain numbers, kept in the checkpoint."""

    losses: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    sentences: list[list[float]] = field(default_factory=list)  # nats of every sentence, a list a validation
    tokens_seen: int = 0
    tokens_here: int = field(default=0, compare=False)  # since the run was started or resumed
    kept_step: int | None = None  # whose weights the arm has at the end, where `keep` is 'best'


class StoppedError(Exception):
    """The run was asked to stop; its state after `step` steps is in its checkpoint."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after step {step}")
        self.step = step
