"""train: one training run of one arm, resumed where it was killed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import diffusionbert
from diffusionbert.arms.base import Arm
from diffusionbert.arms.build import check, new_arm
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.config import Params
from diffusionbert.corpus.batches import Stream, in_order_of_length
from diffusionbert.corpus.shards import Shards
from diffusionbert.evaluation import evaluate, mean_and_interval
from diffusionbert.files import replacing, sha256, write_json, write_sums, write_text
from diffusionbert.stages import shell
from diffusionbert.stages.compute import Machine, named_arm, tokens_of
from diffusionbert.training import Settings, train

CHECKPOINTS = Path(".checkpoints")
ROOMS = (
    "arms",
    "checkpoint.py",
    "corpus",
    "denoisers",
    "diffusion",
    "evaluation.py",
    "files.py",
    "memory.py",
    "stages/compute.py",
    "stages/train.py",
    "training.py",
    "words.py",
)  # the code a checkpoint belongs to


def _body(context: shell.Context) -> None:
    params, name, out = context.params, str(context.instance), context.paths["out"]
    row = named_arm(params, name)
    check(params, str(context.file))
    machine = Machine.prepare(params.runtime)
    shards, table = tokens_of(context)
    arm = new_arm(name, params, shards, table, machine.device)
    settings = Settings(**params.train.model_dump())
    key = run_key(params, name, shards, context.paths["information"] / "table.parquet")
    checkpoint = Checkpoint(CHECKPOINTS / f"{params.profile}-{name}-{key[:16]}", key)
    start = time.perf_counter()
    first = checkpoint.read()
    already = int(first["tokens_seen"]) if first else 0
    history = train(
        arm,
        Stream(shards["train"], settings.batch_size, row.seed, shards.special.pad_id),
        settings,
        seed=row.seed,
        device=machine.device,
        autocast=machine.autocast,
        checkpoint=checkpoint,
        validate=lambda: _validate(arm, shards, params, row.seed, machine),
        log=lambda values, step: context.journal.metrics(values, step),
        label=f"train@{name}",
    )
    context.timing["tokens_per_second"] = round((history.tokens_seen - already) / (time.perf_counter() - start), 1)
    with replacing(out / "model") as aside:
        aside.mkdir()
        arm.save(aside)
        write_sums(aside)
    write_text(out / "history.csv", _csv(history.losses))
    write_text(out / "validation.csv", _csv(history.validation))
    metrics = {
        "arm": name,
        "system": row.system,
        "steps": settings.steps,
        "sentences_seen": settings.steps * settings.batch_size,
        "tokens_seen": history.tokens_seen,
        "parameters": sum(parameter.numel() for parameter in arm.module.parameters()),
        "loss_nats_per_token": history.losses[-1]["loss_nats_per_token"],
        "validation_nats_per_sentence": history.validation[-1]["nats_per_sentence"],
        **machine.described,
    }
    write_json(out / "metrics.json", metrics)
    numbers = ("tokens_seen", "parameters", "loss_nats_per_token", "validation_nats_per_sentence")
    context.journal.metrics({name: metrics[name] for name in numbers})
    checkpoint.remove()


def _validate(arm: Arm, shards: Shards, params: Params, seed: int, machine: Machine) -> dict[str, float]:
    """The arm's own bound on the first sentences of the valid split: mean nats per sentence and its 95 % interval."""
    settings = params.train
    scorer = arm.scorer([], 0.0)
    chosen = "valid" if "valid" in scorer.figures else next(iter(scorer.figures))
    batches = list(
        in_order_of_length(shards["valid"], settings.valid_sentences, params.evaluate.batch_size, shards.special.pad_id)
    )
    with machine.autocast():
        scores = evaluate(
            scorer,
            batches,
            num_strata=settings.valid_strata,
            num_eval_steps=None,
            seed=seed,
            device=machine.device,
            label="validation",
            figures=(chosen,),
        )
    mean, low, high = mean_and_interval(scores[chosen].nats)
    return {"nats_per_sentence": mean, "low": low, "high": high}


def run_key(params: Params, name: str, shards: Shards, information: Path) -> str:
    """A hash of all that a training run depends on: settings, data and code. A checkpoint resumes under it alone."""
    row = params.arms[name]
    settings = {
        "train": params.train.model_dump(),
        "runtime": params.runtime.model_dump(),
        "arm": row.model_dump(exclude={"label", "baseline", "replicate_of"}),
        "backbone": params.backbones[row.backbone].model_dump(),
        "packages": {name: package.model_dump() for name, package in params.packages.items()},
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(shards.key.encode() + sha256(information).encode() + torch.__version__.encode())
    here = Path(diffusionbert.__file__).parent
    for room in ROOMS:
        place = here / room
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
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
    return shell.run("train", _body, argv, paths=("tokens", "information", "out"), instance="arm", sections=_sections)


if __name__ == "__main__":
    sys.exit(main())
