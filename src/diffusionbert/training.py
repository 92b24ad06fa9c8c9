"""One training run: draws, steps, validation, checkpoints. It knows arms by their protocol alone.

Every draw is keyed by (seed, purpose, step, sentence), so arms with one seed meet the same sentences, steps and noise
in the same order, and a resumed run continues to the bit on one device.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from diffusionbert.arms.base import Arm, Draw, Loss
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.corpus.batches import Batch, Stream
from diffusionbert.diffusion.absorbing import low_discrepancy_steps, low_discrepancy_times
from diffusionbert.diffusion.draws import Purpose, generator, uniforms
from diffusionbert.progress import track


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The `train` section of params.yaml, field by field."""

    steps: int
    batch_size: int
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

    @property
    def pauses(self) -> tuple[int, ...]:
        """After so many steps something is told or written: all before it must be known to be finite."""
        return self.log_every, self.valid_every, self.checkpoint_every

    def __post_init__(self) -> None:
        if self.warmup > self.steps:
            raise ValueError(f"train.warmup is {self.warmup}; expected at most train.steps = {self.steps}")


@dataclass
class History:
    """What a run tells of itself; rows of plain numbers, kept in the checkpoint."""

    losses: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    tokens_seen: int = 0


Log = Callable[[dict[str, float], int], None]
Validate = Callable[[], dict[str, float]]
Autocast = Callable[[], AbstractContextManager[Any]]


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
) -> History:
    """Trains the arm in place for `settings.steps` steps, from its checkpoint where there is one.

    Raises ValueError naming step and sentences when a loss or a gradient is not finite; the checkpoint stays.
    """
    module = arm.module.to(device)
    optimizer = torch.optim.AdamW(_groups(module, settings.weight_decay), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_multiplier(step, settings))
    history, first = History(), 0
    window: list[dict[str, float]] = []
    waiting: _Step | None = None
    if (state := checkpoint.read()) is not None:
        first = _restore(state, module, optimizer, schedule, history)
        window = list(state["window"])
        print(f"{label}: resuming from step {first}", file=sys.stderr)
    else:
        torch.manual_seed(seed)  # dropout draws from torch's global generator
        module.eval()
        history.validation.append({"step": 0, **validate()})
    module.train()
    for step in track(range(first, settings.steps), label=label, total=settings.steps, done=first):
        batch = stream.batch(step)
        loss = _loss(arm, batch, step, seed, settings, device, autocast)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), settings.grad_clip)
        optimizer.step()
        schedule.step()
        history.tokens_seen += int(batch.lengths.sum())
        if waiting is not None:
            window.append(waiting.terms())
        waiting, done = _Step(step, batch, loss, norm), step + 1
        if done == settings.steps or any(done % every == 0 for every in settings.pauses):
            window.append(waiting.terms())
            waiting = None
        if done % settings.log_every == 0 or done == settings.steps:
            history.losses.append(_averages(window, done, float(schedule.get_last_lr()[0])))
            log(history.losses[-1], done)
            window = []
        if done % settings.valid_every == 0 or done == settings.steps:
            module.eval()
            history.validation.append({"step": done, **validate()})
            log(
                {f"valid_{name}": value for name, value in history.validation[-1].items() if name != "step"},
                done,
            )
            module.train()
        if done % settings.checkpoint_every == 0 and done < settings.steps:
            checkpoint.write(_state(done, module, optimizer, schedule, history, window))
    module.eval()
    return history


def draw_for(arm: Arm, batch: Batch, step: int, seed: int) -> Draw:
    """The step s = t - 1 -> t, or a real t, and the uniforms of a training batch."""
    size = 1 if arm.one_t_per_batch else len(batch.lengths)
    offset = generator(seed, Purpose.STEP, step).random()
    drawn = (low_discrepancy_times if arm.continuous else low_discrepancy_steps)(offset, size, arm.num_steps)
    t = drawn.expand(len(batch.lengths))
    noise = uniforms(seed, Purpose.MASK, step=step, indices=batch.index, length=batch.tokens.shape[1])
    return Draw(t - 1, t, noise)


def rate_multiplier(step: int, settings: Settings) -> float:
    """The learning rate's share at a step: linear warm-up, then constant, linear to 0, or inverse square root."""
    warm = settings.lr_warmup_steps
    if step < warm:
        return (step + 1) / warm
    if settings.lr_decay == "linear":
        return max(0.0, (settings.steps - step) / max(1, settings.steps - warm))
    if settings.lr_decay == "inverse_sqrt":
        return math.sqrt(max(1, warm) / max(1, step))
    return 1.0


def _loss(
    arm: Arm, batch: Batch, step: int, seed: int, settings: Settings, device: torch.device, autocast: Autocast
) -> Loss:
    draw = draw_for(arm, batch, step, seed).to(device)
    with autocast():
        if step < settings.warmup:
            return arm.warmup_loss(batch.to(device), draw)
        return arm.loss(batch.to(device), draw)


@dataclass(frozen=True)
class _Step:
    """A step whose numbers may still be on their way: reading one waits for the device to have computed it."""

    step: int
    batch: Batch
    loss: Loss
    norm: Tensor

    def terms(self) -> dict[str, float]:
        """The terms of its loss. Raises ValueError naming step and sentences when it was not finite."""
        for name, value in (("loss", float(self.loss.total.detach())), ("gradient norm", float(self.norm))):
            if not math.isfinite(value):
                first = ", ".join(str(index) for index in self.batch.index[:8])
                raise ValueError(
                    f"the {name} is {value} at step {self.step}, batch of train sentences {first}, ...; expected a "
                    "finite number. Lower train.learning_rate or look at these sentences"
                )
        return {name: float(term) for name, term in self.loss.terms.items()}


def _groups(module: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices alone: biases and normalisations are left free."""
    matrices = [parameter for parameter in module.parameters() if parameter.dim() >= 2]
    vectors = [parameter for parameter in module.parameters() if parameter.dim() < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _averages(window: list[dict[str, float]], step: int, rate: float) -> dict[str, float]:
    names = sorted({name for row in window for name in row})
    means = {f"{name}_nats_per_token": sum(row.get(name, 0.0) for row in window) / len(window) for name in names}
    return {"step": step, "loss_nats_per_token": sum(means.values()), "learning_rate": rate, **means}


def _state(
    step: int, module: Any, optimizer: Any, schedule: Any, history: History, window: list[dict[str, float]]
) -> dict[str, Any]:
    state = {
        "step": step,
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random": torch.get_rng_state(),
        "losses": history.losses,
        "validation": history.validation,
        "tokens_seen": history.tokens_seen,
        "window": window,
    }
    if torch.cuda.is_available():
        state["random_cuda"] = torch.cuda.get_rng_state_all()
    return state


def _restore(state: dict[str, Any], module: Any, optimizer: Any, schedule: Any, history: History) -> int:
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["random"])
    if "random_cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["random_cuda"])
    history.losses, history.validation = list(state["losses"]), list(state["validation"])
    history.tokens_seen = int(state["tokens_seen"])
    return int(state["step"])
