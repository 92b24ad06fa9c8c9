"""spindle: relative information of every token, the curves of an example sentence, the clipped share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from diffusionbert.config import Params
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import InformationTable, read_information
from diffusionbert.corpus.tokenizers import encode_text, token_texts
from diffusionbert.diffusion.information import mean_information
from diffusionbert.diffusion.schedules import Spindle
from diffusionbert.files import write_json, write_text
from diffusionbert.stages import shell
from diffusionbert.tables import write_table

MAX_CURVE_POINTS = 65


def _body(context: shell.Context) -> None:
    settings, out = context.params.spindle, context.paths["out"]
    shards = Shards.open(context.paths["tokens"] / "shards")
    table = read_information(context.paths["information"] / "table.parquet", shards.special)
    names = token_texts(shards.tokenizer_folder, shards.special)
    hbar = mean_information(table.probability, table.information)
    information = torch.from_numpy(table.information)
    corpus = Spindle(settings.num_steps, information, settings.spindle_lambda, mean="corpus", corpus_mean=hbar)
    relative = corpus.relative_information(information, None).numpy()
    clipped = clipped_tokens(corpus)
    _write_table(out / "table.parquet", names, table, relative, clipped)

    example = encode_text(shards.tokenizer_folder, settings.example)
    if not example:
        raise ValueError(f"spindle.example: '{settings.example}' has no token; expected a sentence")
    sentence = Spindle(settings.num_steps, information, settings.spindle_lambda, mean="sentence")
    write_text(out / "curves.csv", curves(sentence, example, names))

    known = relative[table.candidates]
    metrics = {
        "spindle_lambda": settings.spindle_lambda,
        "num_steps": settings.num_steps,
        "mean_information_nats": hbar,
        "clipped_token_share": float(clipped[table.candidates].mean()),
        "clipped_mass_share": float(table.counts[clipped].sum() / table.counts.sum()),
        "min_relative_information": float(known.min()),
        "max_relative_information": float(known.max()),
    }
    write_json(out / "metrics.json", metrics)
    context.journal.metrics({key: metrics[key] for key in ("clipped_token_share", "clipped_mass_share")})
    context.journal.artifact(out / "curves.csv")


def clipped_tokens(schedule: Spindle) -> NDArray[np.bool_]:
    """Which tokens' curves are clipped somewhere inside 0 < t < T, (V,).

    A curve with H~ < 0 is concave and one with H~ > 0 convex (method: "why clip is exactly enough"), so the
    one leaves [0, 1] at t = 1 if it does at all, and the other at t = T - 1.
    """
    if schedule.num_steps < 2 or schedule.spindle_lambda == 0:
        return np.zeros(len(schedule.information), dtype=np.bool_)
    first, last = schedule.alpha_bar_of_vocabulary(torch.tensor([1, schedule.num_steps - 1]))
    is_known = ~schedule.information.isnan()
    clipped: NDArray[np.bool_] = (((first == 1) | (last == 0)) & is_known).numpy()
    return clipped


def curves(schedule: Spindle, tokens: Sequence[int], names: Sequence[str]) -> str:
    """alpha_bar of each distinct token of a sentence against t, as CSV: the paper's Fig. 2."""
    x0 = torch.tensor([tokens])
    mean = schedule.sentence_mean(x0, torch.ones_like(x0, dtype=torch.bool))
    relative = schedule.relative_information(schedule.information[x0], mean)[0].tolist()
    steps = np.unique(np.linspace(0, schedule.num_steps, MAX_CURVE_POINTS).round().astype(int))
    t = torch.from_numpy(steps)
    alpha_bar = schedule.alpha_bar(t, x0.expand(len(t), -1), None if mean is None else mean.expand(len(t)))
    position = {token: index for index, token in reversed(list(enumerate(tokens)))}  # the first of each token
    lines = ["token,t,alpha_bar,relative_information"]
    for token, index in sorted(position.items(), key=lambda item: item[1]):
        label = '"' + names[token].replace('"', '""') + '"'
        values = zip(steps.tolist(), alpha_bar[:, index].tolist(), strict=True)
        lines += [f"{label},{step},{value:.6f},{relative[index]:.6f}" for step, value in values]
    return "\n".join(lines) + "\n"


def _write_table(
    path: Path,
    names: list[str],
    table: InformationTable,
    relative: NDArray[np.float64],
    clipped: NDArray[np.bool_],
) -> None:
    ids = np.flatnonzero(table.candidates)
    columns = {
        "token_id": pa.array(ids.astype(np.int32)),
        "token": pa.array([names[i] for i in ids], pa.string()),
        "count": pa.array(table.counts[ids]),
        "information": pa.array(table.information[ids]),
        "relative_information": pa.array(relative[ids]),
        "clipped": pa.array(clipped[ids]),
    }
    write_table(path, columns)


def _sections(params: Params, _: str | None) -> dict[str, Any]:
    return {"spindle": params.spindle.model_dump(mode="json")}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(
        "spindle",
        _body,
        argv,
        paths=["tokens", "information", "out"],
        instance="tokenizer",
        sections=_sections,
    )


if __name__ == "__main__":
    sys.exit(main())
