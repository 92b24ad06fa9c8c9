"""The training step against plain masked-LM steps of the same backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from diffusionbert.bench import rivals
from diffusionbert.bench.clock import Samples
from diffusionbert.bench.figures import Figure, ratio_of
from diffusionbert.bench.subjects import ARMS, Size, arm_of, batch_of, model_of
from diffusionbert.bench.turns import OURS, Autocast, Rival, step_times

MOST = 1.10


@dataclass(frozen=True)
class Plan:
    """How training steps are timed: rounds, steps in each, compiled encoders or not."""

    device: torch.device
    autocast: Autocast
    repeats: int
    pieces: int = 1
    compiled: bool = False


def training_steps(size: Size, plan: Plan) -> dict[str, dict[str, Samples]]:
    """Per arm, the times of our step, the bare one and, for `linear`, the one that transformers ships."""
    batch = batch_of(size)
    found = {}
    for name in ARMS:
        arm = arm_of(size, name, plan.device)
        compile_encoder(arm.denoiser.model, plan)
        others: dict[str, Rival] = {"bare": rivals.bare(arm, rival_model(size, plan), plan.device, plan.autocast)}
        if name == "linear" and not plan.compiled:
            others["stock"] = rivals.stock(arm, rival_model(size, plan), plan.device, plan.autocast)
        found[name] = step_times(
            arm,
            lambda step: batch,
            others,
            repeats=plan.repeats,
            pieces=plan.pieces,
            device=plan.device,
            autocast=plan.autocast,
            label=f"steps, {name}",
        )
    return found


def rival_model(size: Size, plan: Plan) -> Any:
    """A network of its own for the other side, compiled where ours is."""
    model = model_of(size)
    compile_encoder(model, plan)
    return model


def compile_encoder(model: Any, plan: Plan) -> None:
    """The encoder alone, on both sides: the heads work on another number of rows at every step."""
    if plan.compiled:
        getattr(model, str(model.base_model_prefix)).compile()


def figures(found: dict[str, dict[str, Samples]], size: Size, how: str, target: float | None = MOST) -> list[Figure]:
    """Our step over the bare one per arm; the stock step over the bare one, to be known."""
    where = f"{how}, {size.batch} x {size.length}"
    lines = [
        ratio_of(
            f"training step, {name}, {where}, over a bare masked-LM step",
            (OURS, times[OURS]),
            ("bare", times["bare"]),
            target,
            note="both sides at every position, as this objective asks" if name == "released" else "",
        )
        for name, times in found.items()
    ]
    plain = found["linear"]
    if "stock" in plain:
        lines.append(
            ratio_of(
                f"stock transformers step (logits everywhere), {where}, over the bare one",
                ("stock", plain["stock"]),
                ("bare", plain["bare"]),
            )
        )
    return lines
