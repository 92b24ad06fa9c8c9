"""Short trainings that differ in one thing: the loop of `training.train` with its choices open.

With the defaults it is that loop, to the bit (a test holds them equal); no checkpoints, no validation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache

import numpy as np
import torch

from diffusionbert.arms.absorbing import Absorbing
from diffusionbert.arms.build import new_arm
from diffusionbert.corpus.batches import Batch, Stream, collate
from diffusionbert.deviations.figures import Array
from diffusionbert.deviations.ground import SPINDLE, Ground
from diffusionbert.progress import track
from diffusionbert.training import Settings, draw_for, rate_multiplier


@dataclass(frozen=True)
class Trial:
    """One short training of the spindle arm from the pretrained network; what is not named is as the arm has it."""

    objective: str = "valid"
    one_t_per_batch: bool = False
    value_clipping: float | None = None  # clips each value of the gradient at this, instead of the norm
    decay_everything: bool = False
    as_they_come: bool = False  # batches in shuffled order, whatever the lengths


@dataclass(frozen=True)
class Trained:
    arm: Absorbing
    norms: Array  # of the gradient before clipping, one a step
    largest: Array  # its largest absolute value, one a step


@cache
def trained(ground: Ground, trial: Trial) -> Trained:
    """The trial's arm after `effort.steps` steps, and what its gradients were. Kept: several entries ask for one."""
    row = ground.params.arms[SPINDLE]
    changed = {**row.settings, "objective": trial.objective, "one_t_per_batch": trial.one_t_per_batch}
    arms = {**ground.params.arms, SPINDLE: row.model_copy(update={"settings": changed})}
    arm = new_arm(SPINDLE, ground.params.model_copy(update={"arms": arms}), ground.shards, ground.table)
    assert isinstance(arm, Absorbing)
    return run(arm, ground, trial)


def settings_of(ground: Ground) -> Settings:
    """The profile's `train` section for so few steps: the rate still rises and falls."""
    steps = ground.effort.steps
    section = Settings(**ground.params.train.model_dump())
    return replace(section, steps=steps, lr_warmup_steps=min(section.lr_warmup_steps, steps // 10), warmup=0)


def run(arm: Absorbing, ground: Ground, trial: Trial) -> Trained:
    settings, seed, device = settings_of(ground), ground.params.arms[SPINDLE].seed, ground.machine.device
    module = arm.module.to(device)
    optimizer = torch.optim.AdamW(_groups(module, settings.weight_decay, trial), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_multiplier(step, settings))
    batches = _batches(ground, settings, seed, trial)
    norms, largest = [], []
    torch.manual_seed(seed)  # dropout draws from torch's global generator
    module.train()
    for step in track(range(settings.steps), label="training: " + _told(trial)):
        batch = batches(step)
        draw = draw_for(arm, batch, step, seed).to(device)
        with ground.machine.autocast():
            loss = arm.loss(batch.to(device), draw)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        largest.append(max(float(gradient.abs().max()) for gradient in gradients))
        if trial.value_clipping is None:
            norm = torch.nn.utils.clip_grad_norm_(module.parameters(), settings.grad_clip)
        else:
            norm = torch.nn.utils.get_total_norm(gradients)
            torch.nn.utils.clip_grad_value_(module.parameters(), trial.value_clipping)
        norms.append(float(norm))
        optimizer.step()
        schedule.step()
    module.eval()
    return Trained(arm, np.array(norms), np.array(largest))


def _told(trial: Trial) -> str:
    plain = asdict(Trial())
    changed = [f"{key} {value}" for key, value in asdict(trial).items() if value != plain[key]]
    return ", ".join(changed) or "as the arm has it"


def _groups(module: torch.nn.Module, weight_decay: float, trial: Trial) -> list[dict[str, object]]:
    matrices = [parameter for parameter in module.parameters() if parameter.dim() >= 2]
    vectors = [parameter for parameter in module.parameters() if parameter.dim() < 2]
    of_vectors = weight_decay if trial.decay_everything else 0.0
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": of_vectors}]


def _batches(ground: Ground, settings: Settings, seed: int, trial: Trial) -> Callable[[int], Batch]:
    split, pad_id = ground.shards["train"], ground.shards.special.pad_id
    if not trial.as_they_come:
        return Stream(split, settings.batch_size, seed, pad_id).batch
    return lambda step: as_they_come(ground, settings.batch_size, seed, step)


def as_they_come(ground: Ground, batch_size: int, seed: int, step: int) -> Batch:
    """A batch of a shuffled epoch, padded to its longest sentence."""
    split = ground.shards["train"]
    order = np.random.default_rng([seed, 0, 0]).permutation(len(split))
    rows = order[np.arange(step * batch_size, (step + 1) * batch_size) % len(split)]
    return collate(split, rows, ground.shards.special.pad_id)
