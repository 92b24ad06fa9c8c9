"""Samplers: what they cost beyond the network, how often they call it, and seconds against steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from diffusionbert.arms.absorbing import Absorbing
from diffusionbert.bench.clock import Samples, Stopwatch, wait_for
from diffusionbert.bench.figures import Figure
from diffusionbert.bench.subjects import NUM_STEPS, Size, arm_of
from diffusionbert.bench.turns import Autocast
from diffusionbert.diffusion.sampling import ancestral, strided_grid
from diffusionbert.diffusion.truncation import Truncation

TRUNCATIONS = {"top-k 30": Truncation(top_k=30), "no truncation": Truncation()}  # the first is the paper's
CALLS_SENTENCES = 64


class _Timed:
    """A predictor that keeps the time spent in it."""

    time_agnostic = True

    def __init__(self, arm: Absorbing, device: torch.device) -> None:
        self._denoiser, self._device = arm.denoiser, device
        self.seconds = 0.0

    def encode(self, xt: Tensor, lengths: Tensor, t: Tensor) -> Tensor:
        return self._counted(lambda: self._denoiser.encode(xt, lengths, t))

    def predict(self, hidden: Tensor, positions: Tensor) -> Tensor:
        return self._counted(lambda: self._denoiser.predict(hidden, positions))

    def _counted(self, call: object) -> Tensor:
        wait_for(self._device)
        start = time.perf_counter()
        result: Tensor = call()  # type: ignore[operator]
        wait_for(self._device)
        self.seconds += time.perf_counter() - start
        return result


def overhead(size: Size, device: torch.device, autocast: Autocast, repeats: int, steps: int = 64) -> list[Figure]:
    """Seconds of ancestral sampling outside the network over those inside, where it predicts only what it needs."""
    lines = []
    for name, target in (("linear", 0.10), ("spindle", 0.30)):
        arm = _ready(size, name, device)
        lengths = torch.full((size.batch,), size.sampled_length, device=device)
        for how, truncation in TRUNCATIONS.items():
            shares, whole = [], Samples()
            for seed in range(repeats + 1):
                network, watch = _Timed(arm, device), Stopwatch(device)
                watch.start()
                with autocast():
                    for _ in ancestral(
                        network,
                        arm.schedule,
                        arm.vocabulary.blank(lengths),
                        arm.vocabulary.candidates,
                        strided_grid(NUM_STEPS, steps),
                        truncation=truncation,
                        rng=_rng(seed),
                    ):
                        pass
                if seed == 0:  # warms up
                    continue
                watch.stop(whole)
                shares.append(whole.wall[-1] / network.seconds - 1)
            lines.append(
                Figure(
                    f"sampler beyond the network, {name}, ancestral, {steps} steps, "
                    f"{size.batch} x {size.sampled_length}, {how}",
                    round(100 * statistics.median(shares), 3),
                    "%",
                    100 * target if how == "top-k 30" else None,
                    times={"sampling": whole.told()},
                    note=f"{100 * min(shares):.1f} to {100 * max(shares):.1f} %",
                )
            )
    return lines


def calls(size: Size, device: torch.device, autocast: Autocast) -> list[Figure]:
    """Denoiser calls to fill sentences at T steps by first hitting."""
    small = replace(size, batch=min(CALLS_SENTENCES, 2 * size.batch))
    arm = _ready(small, "linear", device)
    with autocast():
        last = _sampled(arm, small, NUM_STEPS, device, TRUNCATIONS["top-k 30"])
    what = f"denoiser calls, first hitting, {small.batch} sentences of {small.sampled_length}, T = {NUM_STEPS}"
    return [Figure(what, last, "calls", float(small.sampled_length))]


def seconds_against_steps(
    size: Size, device: torch.device, autocast: Autocast, grid: Sequence[int], repeats: int
) -> list[Figure]:
    """Seconds to sample a batch of 32: linear by first hitting, the spindle by ancestral sampling."""
    asked = replace(size, batch=min(32, size.batch))
    lines = []
    for name in ("linear", "spindle"):
        arm = _ready(asked, name, device)
        for steps in grid:
            samples, watch = Samples(), Stopwatch(device)
            for number in range(repeats + 1):
                watch.start()
                with autocast():
                    last = _sampled(arm, asked, steps, device, TRUNCATIONS["top-k 30"])
                if number:
                    watch.stop(samples)
            sampler = "first hitting" if arm.schedule.token_independent else "ancestral"
            lines.append(
                Figure(
                    f"sampling {asked.batch} x {asked.sampled_length}, {name}, {sampler}, {steps} steps",
                    round(samples.median, 4),
                    "s",
                    times={"sampling": samples.told()},
                    note=f"{last} denoiser calls",
                )
            )
    return lines


def _sampled(arm: Absorbing, size: Size, steps: int, device: torch.device, truncation: Truncation) -> int:
    """Samples a batch; how often the denoiser was called."""
    lengths = torch.full((size.batch,), size.sampled_length, device=device)
    last = 0
    for state in arm.sample(arm.vocabulary.blank(lengths), steps, truncation, _rng(0)):
        last = state.calls
    return last


def _ready(size: Size, name: str, device: torch.device) -> Absorbing:
    arm = arm_of(size, name, device)
    arm.module.eval()
    return arm


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
