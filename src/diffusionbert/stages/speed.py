"""speed: seconds per sentence against sampling steps, for every arm, with nothing else at work."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch

from diffusionbert.arms.base import Arm
from diffusionbert.arms.build import check, trained_arm
from diffusionbert.config import Params, Speed
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import read_information
from diffusionbert.diffusion.sampling import Canvas
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.files import write_json
from diffusionbert.progress import track
from diffusionbert.stages import shell
from diffusionbert.stages.canvases import starts
from diffusionbert.stages.compute import Machine


def _body(context: shell.Context) -> None:
    params, paths = context.params, context.paths
    check(params, str(context.file))
    machine = Machine.prepare(params.runtime)
    rows: dict[str, list[dict[str, Any]]] = {}
    truncation = Truncation(params.sample.temperature, params.sample.top_k, params.sample.top_p)
    settings = params.speed
    for name in settings.arms or params.arms:
        row = params.arms[name]
        shards = Shards.open(paths["tokenize"] / row.tokenizer / "shards")
        table = read_information(paths["information"] / row.tokenizer / "table.parquet", shards.special)
        arm = trained_arm(name, params, paths["train"] / name / "model", shards, table, machine.device)
        (begun,) = starts(
            arm,
            shards,
            num_samples=settings.num_samples,
            length=settings.length,
            batch_size=settings.num_samples,
            device=machine.device,
            key="speed",
        )
        canvas = begun.canvas
        own = arm.own_steps(int(canvas.masked.sum(-1).max()))
        steps = own or tuple(settings.num_steps)
        _run(arm, min(steps), canvas, truncation, machine, seed=0)  # a warm-up: first calls allocate
        counted = track(steps, label=f"speed of {name}")
        rows[name] = [
            _measured(arm, num_steps, canvas, settings, truncation, machine, bool(own)) for num_steps in counted
        ]
    told = {"length": settings.length, "num_samples": settings.num_samples, "repeats": settings.repeats}
    write_json(paths["out"] / "metrics.json", {**machine.described, **told, "arms": rows})


def _measured(
    arm: Arm,
    num_steps: int,
    canvas: Canvas,
    settings: Speed,
    truncation: Truncation,
    machine: Machine,
    own: bool,
) -> dict[str, Any]:
    """At most `repeats` timed runs, per sentence of a batch of `num_samples`; none is begun after `max_seconds`.

    Of a system with steps of its own, which calls its network once in each, a run of more than `max_seconds` is stopped
    and its seconds are those of the steps done, in proportion.
    """
    longest = settings.max_seconds if own else math.inf
    timed: list[float] = []
    spent, stopped, calls = 0.0, None, 0
    while not timed or (len(timed) < settings.repeats and spent < settings.max_seconds):
        seconds, calls = _run(arm, num_steps, canvas, truncation, machine, seed=len(timed) + 1, longest=longest)
        spent += seconds
        if own and calls < num_steps:
            seconds, stopped = seconds * num_steps / calls, calls
        timed.append(seconds / settings.num_samples)
    spread = {"median": statistics.median(timed), "min": min(timed), "max": max(timed)}
    row = {"num_steps": num_steps, "seconds_per_sentence": spread, "runs": len(timed), "denoiser_calls": calls}
    return row | {"stopped_after_steps": stopped}


def _run(
    arm: Arm,
    num_steps: int,
    canvas: Canvas,
    truncation: Truncation,
    machine: Machine,
    *,
    seed: int,
    longest: float = math.inf,
) -> tuple[float, int]:
    """The wall seconds of sampling a batch once, stopped after `longest`, and the calls of the network."""
    rng = torch.Generator().manual_seed(seed)  # an explicit generator, so that every arm draws alike
    calls = 0
    _settle(machine)
    start = time.perf_counter()
    with machine.autocast():
        for state in arm.sample(canvas, num_steps, truncation, rng):
            calls = state.calls
            if time.perf_counter() - start > longest:
                break
    _settle(machine)
    return time.perf_counter() - start, calls


def _settle(machine: Machine) -> None:
    if machine.device.type == "cuda":
        torch.cuda.synchronize()


def _sections(params: Params, name: str | None) -> dict[str, Any]:
    return {"speed": params.speed.model_dump(), "runtime": params.runtime.model_dump()}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run("speed", _body, argv, paths=("train", "tokenize", "information", "out"), sections=_sections)


if __name__ == "__main__":
    sys.exit(main())
