"""How `infill` and `generate` sample: the steps, the truncation, the draws, and the states to be watched."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from diffusionbert.arms.base import Arm
from diffusionbert.commands.opened import Opened
from diffusionbert.commands.ranges import MOST, MOST_SEED, check_range
from diffusionbert.commands.texts import Row, canvas_of
from diffusionbert.commands.watch import Watch
from diffusionbert.diffusion.draws import Purpose, generator
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
    for name, value in (("-n", args.count), ("--steps", args.steps), ("--top-k", args.top_k)):
        check_range(name, value, 1, MOST)
    check_range("--seed", args.seed, 0, MOST_SEED)
    truncation = Truncation(args.temperature, args.top_k, args.top_p)
    return Settings(args.steps, truncation, args.seed, args.count, args.watch)


def num_steps_of(arm: Arm, num_unknown: int, settings: Settings) -> int:
    """The steps that are asked for; else the usual ones of the system for so many unknown tokens."""
    if settings.num_steps is not None:
        return settings.num_steps
    own = arm.own_steps(num_unknown)
    return own[0] if own else max(k for k in range(1, USUAL_STEPS + 1) if arm.num_steps % k == 0)


def sampled(
    opened: Opened, settings: Settings, given: Sequence[Row], num_steps: int, key: int = 0
) -> Iterator[list[int]]:
    """The tokens, inside the frame, of as many texts of every row as are asked for: all of one before the next's.

    The draws follow from the seed, the key, and the number of the first text of a batch.
    """
    total = len(given) * settings.count
    for start in range(0, total, BATCH):
        rows = [given[number // settings.count] for number in range(start, min(start + BATCH, total))]
        canvas = canvas_of(opened, rows)
        draws = generator(settings.seed, Purpose.SAMPLE, step=key, index=start)
        rng = torch.Generator().manual_seed(int(draws.integers(2**62)))  # its own, not torch's global one
        watch = Watch(opened, canvas, rows[0].frame) if settings.watch else None
        last = canvas.xt
        for state in opened.arm.sample(canvas, num_steps, settings.truncation, rng):
            last = state.xt
            if watch is not None:
                watch.show(state)
        for row, filled in zip(rows, last.tolist(), strict=True):
            yield row.inside(filled)
