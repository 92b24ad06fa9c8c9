"""How `infill` and `generate` sample: the steps, the truncation, the draws, and the states to be watched."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from diffusionbert.arms.base import Arm
from diffusionbert.commands.opened import Opened
from diffusionbert.commands.pairs import Frame
from diffusionbert.commands.watch import Watch
from diffusionbert.diffusion.draws import Purpose, generator
from diffusionbert.diffusion.sampling import Canvas
from diffusionbert.diffusion.truncation import Truncation

USUAL_STEPS = 64
BATCH = 50  # rows at a time, as the sample stage of the default profile


@dataclass(frozen=True)
class Settings:
    """What --steps, --temperature, --top-k, --top-p, --seed, -n and --watch say."""

    num_steps: int | None
    truncation: Truncation
    seed: int
    count: int
    watch: bool

    @property
    def described(self) -> dict[str, Any]:
        """What every answer in JSON says of them."""
        truncation = self.truncation
        told = {"temperature": truncation.temperature, "top_k": truncation.top_k, "top_p": truncation.top_p}
        return {"seed": self.seed, "n": self.count, **told}


def add_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("-n", type=int, default=1, dest="count", metavar="N", help=f"how many {what} (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same texts (default 0)")
    parser.add_argument(
        "--steps",
        type=int,
        help=f"of the reverse process: a divisor of the arm's T (default: the largest up to {USUAL_STEPS}); a system "
        "with steps of its own takes its usual number",
    )
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-k", type=int, help="draw from the K likeliest tokens (default: all)")
    parser.add_argument("--top-p", type=float, help="draw from the fewest tokens that hold this mass (default: all)")
    parser.add_argument("--watch", action="store_true", help="show the denoising on stderr, a line a step and text")


def settings_of(args: argparse.Namespace) -> Settings:
    """Raises ValueError for a number out of range."""
    for name, value in (("-n", args.count), ("--steps", args.steps)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: found {value}; expected at least 1")
    if args.seed < 0:
        raise ValueError(f"--seed: found {args.seed}; expected at least 0")
    truncation = Truncation(args.temperature, args.top_k, args.top_p)
    return Settings(args.steps, truncation, args.seed, args.count, args.watch)


def num_steps_of(arm: Arm, canvas: Canvas, settings: Settings) -> int:
    """The steps that are asked for; else the usual ones of the system for so many unknown tokens."""
    if settings.num_steps is not None:
        return settings.num_steps
    own = arm.own_steps(int(canvas.masked.sum()))
    return own[0] if own else max(k for k in range(1, USUAL_STEPS + 1) if arm.num_steps % k == 0)


def sampled(
    opened: Opened, settings: Settings, canvas: Canvas, frame: Frame, num_steps: int, key: int = 0
) -> Iterator[list[int]]:
    """The tokens, inside the frame, of as many texts as are asked for, from a canvas of one row.

    The draws follow from the seed, the key, and the number of the first text of a batch.
    """
    for start in range(0, settings.count, BATCH):
        rows = canvas.repeated(min(BATCH, settings.count - start))
        draws = generator(settings.seed, Purpose.SAMPLE, step=key, index=start)
        rng = torch.Generator().manual_seed(int(draws.integers(2**62)))  # its own, not torch's global one
        watch = Watch(opened, rows, frame) if settings.watch else None
        last = rows.xt
        for state in opened.arm.sample(rows, num_steps, settings.truncation, rng):
            last = state.xt
            if watch is not None:
                watch.show(state)
        yield from map(frame.inside, last.tolist())
