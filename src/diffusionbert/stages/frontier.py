"""frontier: texts of one arm at every temperature, and at temperature 1 under every top-k (Fig. 3 of the paper)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from diffusionbert.arms.base import Arm
from diffusionbert.arms.build import check, trained_arm
from diffusionbert.config import Frontier, Params
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import read_information
from diffusionbert.corpus.tokenizers import decode_tokens
from diffusionbert.diffusion.draws import Purpose, generator
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.files import sha256, sum_key, write_json, write_text
from diffusionbert.progress import track
from diffusionbert.stages import shell
from diffusionbert.stages.canvases import Start, starts, written
from diffusionbert.stages.compute import Machine, named_arm


@dataclass(frozen=True)
class Point:
    """One setting of the sampler."""

    temperature: float
    top_k: int | None


def points(settings: Frontier) -> list[Point]:
    """Every temperature without truncation, then every top-k at temperature 1."""
    hot = [Point(temperature, None) for temperature in settings.temperatures]
    return hot + [Point(1.0, top_k) for top_k in settings.top_ks]


def _body(context: shell.Context) -> None:
    params, name, paths = context.params, str(context.instance), context.paths
    settings, row = params.frontier, named_arm(params, name)
    check(params, str(context.file))
    machine = Machine.prepare(params.runtime)
    shards = Shards.open(paths["tokenize"] / row.tokenizer / "shards")
    table = read_information(paths["information"] / row.tokenizer / "table.parquet", shards.special)
    arm = trained_arm(name, params, paths["model"], shards, table, machine.device)
    begun = list(
        starts(
            arm,
            shards,
            num_samples=settings.num_samples,
            length=settings.length,
            batch_size=settings.batch_size,
            device=machine.device,
            key="frontier",
        )
    )
    num_steps = max(start.num_steps(arm, settings.num_steps) for start in begun)
    end_id = shards.special.sep_id if shards.padded else None
    rows: list[dict[str, Any]] = []
    for number, point in enumerate(track(points(settings), label=f"frontier@{name}")):
        sentences = _sampled(arm, point, begun, end_id, settings, machine)
        mask_left = sum(token == shards.special.mask_id for tokens in sentences for token in tokens)
        if mask_left:
            raise ValueError(f"{mask_left} tokens of the samples of arm {name} are [MASK]; expected none")
        at = {"point": number, "temperature": point.temperature, "top_k": point.top_k}
        rows += [{**at, "text": text} for text in decode_tokens(shards.tokenizer_folder, sentences, shards.line_end)]
    write_text(paths["out"] / "samples.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    told = {"num_samples": settings.num_samples, "length": settings.length, "seed": settings.seed}
    metrics = {"arm": name, "system": row.system, "points": len(points(settings)), "num_steps": num_steps, **told}
    samples = paths["out"] / "samples.jsonl"
    metrics[sum_key(samples)] = sha256(samples)
    write_json(paths["out"] / "metrics.json", {**metrics, **machine.described})


@torch.no_grad()
def _sampled(
    arm: Arm, point: Point, begun: Sequence[Start], end_id: int | None, settings: Frontier, machine: Machine
) -> list[list[int]]:
    """The token ids of a point's samples; every point draws from the same generators, so that points are paired."""
    sentences: dict[int, list[int]] = {}
    for start in begun:
        rng = torch.Generator().manual_seed(
            int(generator(settings.seed, Purpose.SAMPLE, index=int(start.index[0])).integers(2**62))
        )  # an explicit generator of this batch, not torch's global one
        num_steps = start.num_steps(arm, settings.num_steps)
        with machine.autocast():
            *_, last = arm.sample(start.canvas, num_steps, Truncation(point.temperature, point.top_k), rng)
        sentences |= zip(start.index.tolist(), written(start.canvas, last.xt, end_id), strict=True)
    return [sentences[row] for row in sorted(sentences)]


def _sections(params: Params, name: str | None) -> dict[str, Any]:
    row = named_arm(params, str(name))
    return {
        "arm": row.model_dump(),
        "frontier": params.frontier.model_dump(),
        "runtime": params.runtime.model_dump(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(
        "frontier",
        _body,
        argv,
        paths=("model", "tokenize", "information", "out"),
        instance="arm",
        sections=_sections,
    )


if __name__ == "__main__":
    sys.exit(main())
