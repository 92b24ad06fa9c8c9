"""`train --estimate`: a few steps on this hardware, and what the whole run would take; nothing is kept of it.

Steps are those of the run itself: its batches, processes, precision, clipping and optimiser. Their time is taken per
token, since batches differ in length, and the run's tokens are known.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
import torch

from diffusionbert.arms.base import Arm
from diffusionbert.arms.build import check, new_arm
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.config import Params, Train, load
from diffusionbert.corpus.batches import Given, Stream
from diffusionbert.corpus.shards import MANIFEST, Shards
from diffusionbert.corpus.special import Special
from diffusionbert.corpus.statistics import InformationTable, candidate_mask, read_information
from diffusionbert.diffusion.information import token_information
from diffusionbert.files import write_json
from diffusionbert.stages import processes
from diffusionbert.stages.compute import Machine, compile_encoders, named_arm
from diffusionbert.stages.train import CHECKPOINTS, joined, validate
from diffusionbert.training import Distribution, Settings
from diffusionbert.training.state import Run
from diffusionbert.training.step import Steps, steps_of

WARM = 2  # steps that are not counted: memory is asked for, kernels are chosen
MEAN_TOKENS = 28  # of a sentence of LM1B in bert-base-uncased's word pieces
MADE = {"train": 20_000, "valid": 2_000, "test": 2_000}  # sentences of random words
BERT = Special(30_522, 0, 103, 101, 102, 100, (0, *range(1, 100), 100, 101, 102, 103))


@dataclass(frozen=True)
class Made:
    """Sentences of random words in place of shards, of which it offers what an arm and its batches ask."""

    splits: dict[str, Given]
    special: Special = BERT
    tokenizer_folder: Path = Path()  # nothing is saved

    def __getitem__(self, split: str) -> Given:
        return self.splits[split]


@dataclass(frozen=True)
class Measured:
    """What a few steps, one validation and one checkpoint took; seconds, and bytes."""

    steps: list[float]
    tokens: int  # of all these steps
    validation: float  # of one sentence
    checkpoint: float
    checkpoint_bytes: int
    best_bytes: int  # of the weights that `train.keep: best` keeps beside the states; else 0


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m diffusionbert.stages.train --estimate")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--arm", required=True)
    parser.add_argument("--steps", type=int, default=8, help="how many are measured")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    for name in ("tokens", "information", "out", "timing"):  # as in the stage's command; the last two are not read
        parser.add_argument(f"--{name}", type=Path)
    args = parser.parse_args(argv)
    try:
        params = load(args.params)
        row = named_arm(params, args.arm)
        check(params, str(args.params))
        results = Path("results") / params.profile
        tokens = args.tokens or results / "tokenize" / row.tokenizer
        information = args.information or results / "information" / row.tokenizer
        figures = _estimate(params, args.arm, tokens, information / "table.parquet", max(1, args.steps))
        if figures and args.json is not None:
            write_json(args.json, figures)
    except (ValueError, OSError) as error:
        for line in str(error).splitlines():
            print(f"error: train@{args.arm} --estimate: {line}", file=sys.stderr)
        return 1
    for line in told(figures) if figures else ():
        print(line)
    return 0


def _estimate(params: Params, name: str, tokens: Path, information: Path, num_steps: int) -> dict[str, Any]:
    """The figures; none where this process is not the first of several."""
    machine, distribution = joined(params)
    if (tokens / "shards" / MANIFEST).exists():
        shards = Shards.open(tokens / "shards")
        table, source = read_information(information, shards.special), f"the sentences of {tokens}"
    else:
        made, table = sentences_of_random_words(params.tokenize.max_length)
        shards = cast(Shards, made)
        source = (
            f"sentences of random words of bert-base-uncased's {BERT.vocab_size:,}, {MEAN_TOKENS} tokens on average as "
            f"LM1B's, as there is no {tokens}"
        )
    arm = new_arm(name, params, shards, table, machine.device)
    if params.runtime.compile:
        compile_encoders(arm.module)
    measured = _measure(arm, params, name, shards, machine, distribution, num_steps)
    processes.leave()
    if distribution.rank > 0:
        return {}
    return {
        "arm": name,
        "profile": params.profile,
        "processes": distribution.num_ranks,
        "measured_on": source,
        "machine": machine.described,
        "compiled": params.runtime.compile,
        "parameters": sum(parameter.numel() for parameter in arm.module.parameters()),
        **_of_steps(params.train, measured),
        **_whole_run(params, shards, measured),
        **_memory(machine.device),
    }


def sentences_of_random_words(max_length: int, seed: int = 0) -> tuple[Made, InformationTable]:
    """Words by Zipf's law over BERT's vocabulary, lengths by a gamma law of LM1B's mean; counts of that law."""
    rng, candidates = np.random.default_rng(seed), candidate_mask(BERT)
    words = np.flatnonzero(candidates)
    law = 1 / np.arange(1, len(words) + 1)
    law /= law.sum()
    splits = {}
    for split, size in MADE.items():
        lengths = rng.gamma(4.0, MEAN_TOKENS / 4, size).round().astype(int).clip(1, max_length)
        drawn = rng.choice(words, lengths.sum(), p=law)
        splits[split] = Given(split, np.split(drawn, np.cumsum(lengths)[:-1]))
    counts = np.zeros(BERT.vocab_size, dtype=np.int64)
    counts[words] = np.ceil(law * 1e8).astype(np.int64)
    probability, information = token_information(counts, candidates, 1.0)
    return Made(splits), InformationTable(counts, candidates, probability, information)


def _measure(
    arm: Arm, params: Params, name: str, shards: Shards, machine: Machine, distribution: Distribution, num_steps: int
) -> Measured:
    row, settings = params.arms[name], Settings(**params.train.model_dump())
    run = Run.of(arm.module, settings, machine.device)
    pad_id, rank, num_ranks = shards.special.pad_id, distribution.rank, distribution.num_ranks
    stream = Stream(shards["train"], settings.batch_size, row.seed, pad_id, rank, num_ranks)
    steps = steps_of(arm, stream, settings, distribution, machine.autocast, machine.device, row.seed)
    arm.module.train()
    seconds, tokens = _timed_steps(run, steps, settings.warmup, num_steps)
    arm.module.eval()
    few = min(settings.valid_sentences, params.evaluate.batch_size * num_ranks)
    start = time.perf_counter()
    validate(arm, shards, params, row.seed, machine, distribution, num_sentences=few)
    per_sentence = (time.perf_counter() - start) / few
    state, size, start = run.state(1, distribution), 0, time.perf_counter()
    if rank == 0:
        place = Checkpoint(CHECKPOINTS / f"estimate-{params.profile}-{name}", "nothing resumes from it")
        try:
            place.write(state)
            size = place.paths[0].stat().st_size
        finally:
            place.remove()
            with suppress(OSError):  # others are at work there
                CHECKPOINTS.rmdir()
    distribution.objects(None)  # all wait for the first
    weights = sum(value.nbytes for value in arm.module.state_dict().values())
    best = weights if settings.keep == "best" else 0
    return Measured(seconds, tokens, per_sentence, time.perf_counter() - start, size, best)


def _timed_steps(run: Run, steps: Steps, first: int, count: int) -> tuple[list[float], int]:
    """Seconds of every counted step, and the tokens of all of them together."""
    seconds, tokens = [], 0
    for step in range(first, first + WARM + count):
        start = time.perf_counter()
        made = steps.make(step, asked_to_stop=False)
        run.update()
        made.terms()  # waits for the device, and refuses what is not finite
        if run.device.type == "cuda":
            torch.cuda.synchronize(run.device)
        if step >= first + WARM:
            seconds.append(time.perf_counter() - start)
            tokens += int(made.tokens)
    return seconds, tokens


def _of_steps(settings: Train, measured: Measured) -> dict[str, Any]:
    return {
        "batch_size": settings.batch_size,
        "accumulate": settings.accumulate,
        "step_seconds": measured.steps,
        "tokens_per_second": measured.tokens / sum(measured.steps),
    }


def _whole_run(params: Params, shards: Shards, measured: Measured) -> dict[str, Any]:
    settings = params.train
    tokens = settings.steps * settings.batch_size * float(shards["train"].lengths.mean())
    validations = 1 + -(-settings.steps // settings.valid_every)
    sentences = min(settings.valid_sentences, len(shards["valid"]))
    checkpoints = (settings.steps - 1) // settings.checkpoint_every
    return {
        "steps": settings.steps,
        "tokens": tokens,
        "validations": validations,
        "validation_sentences": sentences,
        "checkpoints": checkpoints,
        "checkpoints_kept": settings.checkpoints_kept,
        "checkpoint_bytes": measured.checkpoint_bytes,
        "best_bytes": measured.best_bytes,
        "hours": {
            "steps": tokens * sum(measured.steps) / measured.tokens / 3600,
            "validations": validations * sentences * measured.validation / 3600,
            "checkpoints": checkpoints * measured.checkpoint / 3600,
        },
    }


def _memory(device: torch.device) -> dict[str, Any]:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    found = {"process_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit}
    if device.type == "cuda":
        found["gpu_memory_mb"] = torch.cuda.max_memory_allocated(device) // 2**20
    return found


def told(figures: Mapping[str, Any]) -> list[str]:
    """The figures in words, a line each."""
    where, times, of = figures["machine"], figures["step_seconds"], figures["hours"]
    hours, megabytes, best = sum(of.values()), figures["checkpoint_bytes"] / 1e6, figures["best_bytes"] / 1e6
    lines = [
        f"train@{figures['arm']}, profile {figures['profile']}, on {figures['processes']} x "
        f"{where.get('device_name', where['device'])}, {where['dtype']}{', compiled' if figures['compiled'] else ''}, "
        f"{where['threads']} thread(s) a process; {figures['parameters']:,} parameters",
        f"measured on {figures['measured_on']}: {len(times)} steps of {figures['batch_size']} sentences in "
        f"{figures['accumulate']} piece(s) a process, after {WARM} that are not counted",
        f"  a step: {median(times):.3g} s ({min(times):.3g} to {max(times):.3g})",
        f"  tokens a second: {figures['tokens_per_second']:,.0f}",
        f"the whole run, {figures['steps']:,} steps and {figures['tokens']:,.0f} tokens:",
        f"  steps: {of['steps']:,.2f} h",
        f"  {figures['validations']:,} validations of {figures['validation_sentences']:,} sentences: "
        f"{of['validations']:,.2f} h",
        f"  {figures['checkpoints']:,} checkpoints of {megabytes:,.0f} MB: {of['checkpoints']:,.2f} h; at most "
        f"{(figures['checkpoints_kept'] + 1) * megabytes + best:,.0f} MB of disk, {figures['checkpoints_kept']} kept "
        f"and one being written{f', the best weights of {best:,.0f} MB beside them' if best else ''}",
        f"  in all: {hours:,.1f} h, or {hours / 24:,.1f} days",
        f"  peak memory of a process: {figures['process_memory_mb']:,} MB",
    ]
    if "gpu_memory_mb" in figures:
        lines.append(f"  peak memory of a GPU: {figures['gpu_memory_mb']:,} MB")
    return lines
