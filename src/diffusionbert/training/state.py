"""All that a run is at a step: what is trained, how, and what was told of it; what a checkpoint holds."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from diffusionbert.training.average import Average
from diffusionbert.training.distribution import Distribution
from diffusionbert.training.schedule import parameter_groups, rate_multiplier
from diffusionbert.training.settings import History, Settings
from diffusionbert.training.step import Step


@dataclass
class Run:
    """A training run between two steps."""

    module: nn.Module
    settings: Settings
    device: torch.device
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    average: Average
    history: History = field(default_factory=History)
    window: list[dict[str, float]] = field(default_factory=list)  # of the steps since the last line of the history

    @classmethod
    def of(cls, module: nn.Module, settings: Settings, device: torch.device) -> Run:
        optimizer = torch.optim.AdamW(parameter_groups(module, settings.weight_decay), lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_multiplier(step, settings))
        return cls(module, settings, device, optimizer, schedule, Average(module, settings.ema_decay))

    def update(self) -> None:
        self.optimizer.step()
        self.schedule.step()
        self.average.update()
        self.optimizer.zero_grad(set_to_none=True)

    def take(self, step: Step) -> bool:
        """Adds a step's numbers to the window; returns whether some rank was asked to stop before it."""
        self.window.append(step.terms())
        self.history.tokens_seen += int(step.tokens)
        self.history.tokens_here += int(step.tokens)
        return bool(step.stopping)

    def averaged_losses(self, done: int) -> dict[str, float]:
        """The window as one line of the history, and an empty window."""
        window, self.window = self.window, []
        names = sorted({name for row in window for name in row})
        means = {f"{name}_nats_per_token": sum(row.get(name, 0.0) for row in window) / len(window) for name in names}
        rate = float(self.schedule.get_last_lr()[0])
        return {"step": done, "loss_nats_per_token": sum(means.values()), "learning_rate": rate, **means}

    def state(self, step: int, distribution: Distribution) -> dict[str, Any]:
        """What a checkpoint holds, the same on every rank; dropout's random states are all ranks'."""
        return {
            "step": step,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average.state(),
            "random": distribution.objects(_random_state(self.device)),
            "losses": self.history.losses,
            "validation": self.history.validation,
            "sentences": self.history.sentences,
            "tokens_seen": self.history.tokens_seen,
            "window": self.window,
        }

    def restore(self, state: dict[str, Any], seed: int, distribution: Distribution) -> int:
        """Continues from a checkpoint's state; returns the steps done.

        Dropout goes on to the bit with as many processes as wrote it, and is drawn anew with another number.
        """
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.average.restore(state["average"])
        self.history.losses, self.history.validation = list(state["losses"]), list(state["validation"])
        self.history.sentences = list(state["sentences"])
        self.history.tokens_seen, self.window = int(state["tokens_seen"]), list(state["window"])
        step, wrote = int(state["step"]), len(state["random"])
        if wrote == distribution.num_ranks:
            _restore_random(state["random"][distribution.rank], self.device)
        else:
            if distribution.rank == 0:
                told = f"{wrote} processes wrote this state and {distribution.num_ranks} continue it"
                print(f"{told}: dropout is drawn anew", file=sys.stderr)
            seed_dropout(seed + step, distribution.rank)
        return step


def seed_dropout(seed: int, rank: int) -> None:
    """Dropout draws from torch's global generator; the first rank's draws are those of one process."""
    torch.manual_seed(seed + (rank << 32))


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _restore_random(state: dict[str, torch.Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
