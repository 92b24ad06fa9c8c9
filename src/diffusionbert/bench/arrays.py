"""The largest array that a piece of work makes, and its peak memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from diffusionbert import training
from diffusionbert.arms.absorbing import Absorbing, Settings
from diffusionbert.arms.base import Draw
from diffusionbert.bench.figures import Figure
from diffusionbert.bench.subjects import ARMS, NUM_STEPS, Size, arm_of, batch_of, model_of, vocabulary_of
from diffusionbert.bench.turns import Autocast


@dataclass
class Largest:
    """An array by its memory and its shape."""

    num_bytes: int = 0
    shape: tuple[int, ...] = ()


class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the largest array among the results of all operations; arrays of a weight's shape are passed over.

    Those are weights, their gradients and the optimiser's moments. A view counts with the memory it looks into.
    """

    def __init__(self, module: nn.Module | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        weights = [] if module is None else list(module.parameters())
        shapes = [tuple(weight.shape) for weight in weights]
        self._passed = {*shapes, *(shape[::-1] for shape in shapes)}
        self.largest = Largest()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf)
        return result

    def _note(self, tensor: Tensor) -> None:
        if tuple(tensor.shape) in self._passed:
            return
        size = tensor.untyped_storage().nbytes()
        if size > self.largest.num_bytes:
            self.largest = Largest(size, tuple(tensor.shape))


def peak_megabytes(call: Callable[[], object], device: torch.device) -> float | None:
    """Megabytes that the process, or the GPU's allocator, held at most during a call; None where neither tells."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return float(torch.cuda.max_memory_allocated(device) / 2**20)
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        reset.write_text("5")  # the peak starts again from what is held now
    except OSError:
        return None
    call()
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


def figures(size: Size, device: torch.device, autocast: Autocast) -> list[Figure]:
    """For each arm the largest array and the peak memory of a training step; the largest array of construction."""
    lines = []
    batch = batch_of(size).to(device)
    for name in ARMS:
        arm = arm_of(size, name, device)
        arm.module.train()
        draw = training.draw_for(arm, batch.to("cpu"), 0, 0).to(device)

        def step(arm: Absorbing = arm, draw: Draw = draw) -> None:
            with autocast():
                total = arm.loss(batch, draw).total
            total.backward()  # type: ignore[no-untyped-call]
            arm.module.zero_grad(set_to_none=True)

        with Watching(arm.module) as watching:
            step()
        where = f"{name}, {size.batch} x {size.length}"
        lines.append(_largest(f"largest array of a training step besides weights, {where}", watching.largest, arm))
        if (peak := peak_megabytes(step, device)) is not None:
            lines.append(Figure(f"peak memory during a training step, {where}", round(peak), "MB"))
    return lines + [_constructed(size, name) for name in ("linear", "spindle")]


def _largest(what: str, largest: Largest, arm: Absorbing) -> Figure:
    """Held against the budget of the logits: more than that only where one sentence's alone are more."""
    shape = " x ".join(str(extent) for extent in largest.shape)
    return Figure(what, round(largest.num_bytes / 2**20, 1), "MB", float(arm.logits_budget_mb), note=f"shape {shape}")


def _constructed(size: Size, name: str) -> Figure:
    """The largest array that making an arm around a network makes; a (V, V) one would be thousands of MB."""
    model, vocabulary = model_of(size), vocabulary_of(size)
    settings = Settings(init="random", num_steps=NUM_STEPS, **ARMS[name])
    with Watching() as watching:
        Absorbing(settings, model, vocabulary, Path())
    vector = 8 * size.vocab_size / 2**20
    return Figure(
        f"largest array of construction beyond the network, {name}",
        round(watching.largest.num_bytes / 2**20, 3),
        "MB",
        round(2 * vector, 3),
        note="target: two vectors over the vocabulary",
    )
