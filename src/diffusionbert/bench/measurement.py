"""All that one call of the benchmark measures, part by part."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch

from diffusionbert.bench import arrays, mathematics, sampling, steps, throughput
from diffusionbert.bench.clock import Samples
from diffusionbert.bench.figures import Figure, number, verdict
from diffusionbert.bench.sentences import Sentences
from diffusionbert.bench.steps import Plan
from diffusionbert.bench.subjects import Size
from diffusionbert.memory import keep_freed_memory

PARTS = ("steps", "mathematics", "sampling", "arrays", "throughput")
GRID = {"cuda": (2, 8, 16, 64, 128, 512), "cpu": (2, 8, 16, 64)}  # the paper's Table 3; a CPU stops earlier


@dataclass(frozen=True)
class Request:
    """What to measure, where, how often."""

    size: Size
    device: torch.device
    bfloat16: bool
    repeats: int
    parts: Sequence[str]
    sentences: Sentences
    compile: bool

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16)

    @property
    def plan(self) -> Plan:
        """On a GPU several steps between two looks at the clock, as waiting for it would hide what overlaps."""
        pieces = 10 if self.device.type == "cuda" else 1
        return Plan(self.device, self.autocast, self.repeats, pieces)


def measured(request: Request) -> dict[str, list[Figure]]:
    """The figures of every part asked for; each is told on stderr as soon as it is known."""
    size, device, autocast = request.size, request.device, request.autocast
    found: dict[str, list[Figure]] = {}

    def add(part: str, make: Callable[[], list[Figure]]) -> None:
        start = time.perf_counter()
        found.setdefault(part, []).extend(make())
        for figure in found[part]:
            print(line(figure.plain()), file=sys.stderr, flush=True)
        print(f"-- {part}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)

    times: dict[str, dict[str, dict[str, Samples]]] = {}
    if device.type == "cpu":
        if "arrays" in request.parts:  # first: peaks are told apart while freed memory still goes back
            add("arrays", lambda: arrays.figures(size, device, autocast))
        if "steps" in request.parts:
            add("steps, freed memory returned", lambda: _returned(request))
        keep_freed_memory()
    elif "arrays" in request.parts:
        add("arrays", lambda: arrays.figures(size, device, autocast))
    if {"steps", "throughput"} & set(request.parts):
        add("steps", lambda: _steps(request, times))
    if "mathematics" in request.parts:
        add("mathematics", lambda: _mathematics(request))
    if "sampling" in request.parts:
        add("sampling", lambda: _sampling(request))
    if "throughput" in request.parts:
        add("throughput", lambda: _throughput(request, times))
    return found


def line(figure: dict[str, Any]) -> str:
    """A figure, as JSON has it, on one line."""
    target = ""
    if figure["target"] is not None:
        target = f" ({figure['sense']} {number(figure['target'], figure['unit'])}: {verdict(figure)})"
    note = f"; {figure['note']}" if figure["note"] else ""
    return f"{figure['what']}: {number(figure['value'], figure['unit'])}{target}{note}"


def _returned(request: Request) -> list[Figure]:
    """Steps as they are when glibc gives freed memory back: slower on both sides, so there to be known."""
    plan = replace(request.plan, repeats=max(1, request.repeats // 2))
    return steps.figures(steps.training_steps(request.size, plan), request.size, "freed memory returned", None)


def _steps(request: Request, times: dict[str, dict[str, dict[str, Samples]]]) -> list[Figure]:
    lines = []
    for how, compiled in (("eager", False), ("compiled", True)):
        if compiled and not request.compile:
            continue
        times[how] = steps.training_steps(request.size, replace(request.plan, compiled=compiled))
        lines += steps.figures(times[how], request.size, how)
    return lines


def _mathematics(request: Request) -> list[Figure]:
    size, device, repeats = request.size, request.device, 4 * request.repeats
    return [
        *mathematics.draw_and_posterior(size, device, repeats),
        *mathematics.bound_term(size, device, request.autocast, repeats),
        *mathematics.construction(size, device, repeats),
    ]


def _sampling(request: Request) -> list[Figure]:
    size, device, autocast = request.size, request.device, request.autocast
    repeats = max(min(3, request.repeats), request.repeats // 3)  # a median wants three
    return [
        *sampling.overhead(size, device, autocast, repeats),
        *sampling.calls(size, device, autocast),
        *sampling.seconds_against_steps(size, device, autocast, GRID[device.type], repeats),
    ]


def _throughput(request: Request, times: dict[str, dict[str, dict[str, Samples]]]) -> list[Figure]:
    dtype = torch.bfloat16 if request.bfloat16 else torch.float32
    rate = throughput.product_flops(request.device, dtype, 4 * request.repeats)
    lines = [throughput.padding(request.size, request.sentences)]
    for how, found in times.items():
        plan = replace(request.plan, compiled=how == "compiled")
        lines += throughput.figures(request.size, found, rate, how, request.device)
        lines += throughput.bucketed(request.size, request.sentences, plan, how)
    return lines
