"""train: one training run of one arm, resumed where it was killed; by several processes where there are several."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import diffusionbert
from diffusionbert.arms.base import Arm
from diffusionbert.arms.build import SYSTEMS, check, new_arm
from diffusionbert.arms.saved import save_arm
from diffusionbert.checkpoint import Checkpoint, held
from diffusionbert.config import Params
from diffusionbert.corpus.batches import Stream, in_order_of_length
from diffusionbert.corpus.shards import Shards
from diffusionbert.evaluation import evaluate, mean_and_interval
from diffusionbert.files import replacing, sha256, write_json, write_text
from diffusionbert.ranks import rank
from diffusionbert.stages import processes, shell
from diffusionbert.stages.compute import Machine, compile_encoders, named_arm, tokens_of
from diffusionbert.tables import write_table
from diffusionbert.training import COMPARED, SENTENCES, Distribution, History, Settings, StoppedError, train

CHECKPOINTS = Path(".checkpoints")
_KEY = 16  # letters of a run's key, in its folder's name
VALIDATED = "validation.parquet"  # every sentence's nats at every validation
ROOMS = (
    "arms",
    "checkpoint.py",
    "corpus",
    "denoisers",
    "diffusion",
    "evaluation.py",
    "files.py",
    "memory.py",
    "ranks.py",
    "stages/compute.py",
    "stages/processes.py",
    "stages/train.py",
    "tables.py",
    "training",
    "words.py",
)  # the code a checkpoint belongs to


def _body(context: shell.Context) -> None:
    params, name = context.params, str(context.instance)
    named_arm(params, name)
    check(params, str(context.file))
    machine, distribution = joined(params)
    shards, table = tokens_of(context)
    arm = new_arm(name, params, shards, table, machine.device)
    if params.runtime.compile:
        compile_encoders(arm.module)
    settings = Settings(**params.train.model_dump())
    key = run_key(params, name, shards, context.paths["information"] / "table.parquet")
    run = f"{params.profile}-{name}"
    checkpoint = Checkpoint(CHECKPOINTS / f"{run}-{key[:_KEY]}", key)
    with held(CHECKPOINTS / f"{run}.lock") if distribution.rank == 0 else nullcontext():
        history = _trained(context, arm, shards, settings, machine, distribution, checkpoint)
        if distribution.rank == 0:
            _write(context, arm, shards, history, machine, distribution)
            for path in CHECKPOINTS.glob(f"{run}-{'[0-9a-f]' * _KEY}"):  # of settings that the arm had before, too
                shutil.rmtree(path, ignore_errors=True)
    processes.leave()


def _trained(
    context: shell.Context,
    arm: Arm,
    shards: Shards,
    settings: Settings,
    machine: Machine,
    distribution: Distribution,
    checkpoint: Checkpoint,
) -> History:
    params, name, start = context.params, str(context.instance), time.perf_counter()
    seed, pad_id = params.arms[name].seed, shards.special.pad_id
    with processes.stopping_on_sigterm() as asked_to_stop:
        history = train(
            arm,
            Stream(shards["train"], settings.batch_size, seed, pad_id, distribution.rank, distribution.num_ranks),
            settings,
            seed=seed,
            device=machine.device,
            autocast=machine.autocast,
            checkpoint=checkpoint,
            validate=lambda: validate(
                arm, shards, params, seed, machine, distribution, num_sentences=settings.valid_sentences
            ),
            log=lambda values, step: context.journal.metrics(values, step),
            label=f"train@{name}",
            distribution=distribution,
            asked_to_stop=asked_to_stop,
        )
    context.timing["tokens_per_second"] = round(history.tokens_here / (time.perf_counter() - start), 1)
    if machine.device.type == "cuda":
        context.timing["peak_device_memory_mb"] = torch.cuda.max_memory_allocated(machine.device) // 2**20
    return history


def joined(params: Params) -> tuple[Machine, Distribution]:
    """Where this process computes, and with which others."""
    machine, distribution = Machine.prepare(params.runtime), processes.join(params.runtime)
    if isinstance(distribution, processes.Accelerated):
        machine = replace(machine, device=distribution.device)
    return machine, distribution


def _write(
    context: shell.Context, arm: Arm, shards: Shards, history: History, machine: Machine, distribution: Distribution
) -> None:
    params, name, out = context.params, str(context.instance), context.paths["out"]
    settings, validated = params.train, history.validation[-1]
    with replacing(out / "model") as aside:
        aside.mkdir()
        save_arm(arm, aside, shards.manifest.get("pairs"))
    write_text(out / "history.csv", _csv(history.losses))
    write_text(out / "validation.csv", _csv(history.validation))
    nats = np.array(history.sentences)  # (validations, sentences)
    steps = [int(row["step"]) for row in history.validation]
    columns = {"step": np.repeat(steps, nats.shape[1]), "sentence": np.tile(np.arange(nats.shape[1]), len(steps))}
    write_table(out / VALIDATED, {**columns, "nats": nats.ravel()})
    metrics = {
        "arm": name,
        "system": params.arms[name].system,
        "steps": settings.steps,
        "sentences_seen": settings.steps * settings.batch_size,
        "tokens_seen": history.tokens_seen,
        "parameters": sum(parameter.numel() for parameter in arm.module.parameters()),
        "loss_nats_per_token": history.losses[-1]["loss_nats_per_token"],
        **machine.described,
    }
    if history.kept_step is not None:
        metrics["kept_step"] = history.kept_step
        validated = next(row for row in history.validation if row["step"] == history.kept_step)
    metrics["validation_nats_per_sentence"] = validated[COMPARED]
    if distribution.num_ranks > 1:
        metrics["processes"] = distribution.num_ranks
    write_json(out / "metrics.json", metrics)
    numbers = ("tokens_seen", "parameters", "loss_nats_per_token", "validation_nats_per_sentence")
    context.journal.metrics({name: metrics[name] for name in numbers})


def validate(
    arm: Arm,
    shards: Shards,
    params: Params,
    seed: int,
    machine: Machine,
    distribution: Distribution,
    *,
    num_sentences: int,
) -> dict[str, Any]:
    """The arm's own bound on the first sentences of the valid split: mean nats per sentence, its 95 % interval, each.

    Every process scores its share of the batches, and all have all scores.
    """
    settings = params.train
    scorer = arm.scorer([], 0.0)
    chosen = "valid" if "valid" in scorer.figures else next(iter(scorer.figures))
    batches = list(
        in_order_of_length(shards["valid"], num_sentences, params.evaluate.batch_size, shards.special.pad_id)
    )
    index = np.empty(0, dtype=np.int64)
    nats = np.empty(0)
    if own := batches[distribution.rank :: distribution.num_ranks]:
        with machine.autocast():
            scores = evaluate(
                scorer,
                own,
                num_strata=settings.valid_strata,
                num_eval_steps=None,
                seed=seed,
                device=machine.device,
                label="validation",
                figures=(chosen,),
            )
        index, nats = np.sort(np.concatenate([batch.index for batch in own])), scores[chosen].nats
    found = distribution.objects((index, nats))
    order = np.argsort(np.concatenate([index for index, _ in found]))
    scored = np.concatenate([nats for _, nats in found])[order]
    mean, low, high = mean_and_interval(scored)
    return {COMPARED: mean, "low": low, "high": high, SENTENCES: scored.tolist()}


def run_key(params: Params, name: str, shards: Shards, information: Path) -> str:
    """A hash of all that a training run depends on: settings, data and code. A checkpoint resumes under it alone.

    Of the code that is whole rooms, but of `arms/` this arm's system and what systems share: another system's module
    cannot change it. How many processes train is no part: they make the same batches, and a run that was stopped on
    four may go on on two. How many states are kept is none either.
    """
    row = params.arms[name]
    settings = {
        "train": params.train.model_dump(exclude={"checkpoints_kept"}),
        "runtime": params.runtime.model_dump(exclude={"processes"}),
        "arm": row.model_dump(exclude={"label", "baseline", "replicate_of"}),
        "backbone": params.backbones[row.backbone].model_dump(),
        # by its sum an archive is what it is, wherever it was fetched
        "packages": {name: package.model_dump(exclude={"registry"}) for name, package in params.packages.items()},
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(shards.key.encode() + sha256(information).encode() + torch.__version__.encode())
    here = Path(diffusionbert.__file__).parent
    for room in ROOMS:
        place = here / room
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            if place.name != "arms" or path.stem not in SYSTEMS.keys() - {row.system}:
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _csv(rows: list[dict[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n", restval=0.0)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _sections(params: Params, name: str | None) -> dict[str, Any]:
    row = named_arm(params, str(name))
    return {
        "arm": row.model_dump(),
        "train": params.train.model_dump(),
        "runtime": params.runtime.model_dump(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else list(argv)
    if (wanted := processes.wanted(arguments)) > 1:
        return processes.start("diffusionbert.stages.train", arguments, wanted)
    if "--estimate" in arguments:
        from diffusionbert.stages import estimate

        return estimate.main([argument for argument in arguments if argument != "--estimate"])
    try:
        return shell.run(
            "train", _body, arguments, paths=("tokens", "information", "out"), instance="arm", sections=_sections
        )
    except StoppedError as stopped:
        if rank() == 0:
            told = f"SIGTERM: the state after step {stopped.step} is written; run it again to go on from there"
            print(f"train: {told}", file=sys.stderr)
        return processes.STOPPED


if __name__ == "__main__":
    sys.exit(main())
