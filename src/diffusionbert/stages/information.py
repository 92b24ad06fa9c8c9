"""information: token counts -> probability and information of every token."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusionbert.config import Params
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import (
    InformationTable,
    candidate_mask,
    count_tokens,
    entropy,
    write_information,
    zipf_curve,
    zipf_exponent,
)
from diffusionbert.corpus.tokenizers import token_texts
from diffusionbert.diffusion.information import mean_information, token_information
from diffusionbert.files import write_json, write_text
from diffusionbert.stages import shell


def _body(context: shell.Context) -> None:
    folder, out = context.paths["tokens"] / "shards", context.paths["out"]
    smoothing = context.params.information.smoothing
    shards = Shards.open(folder)
    counts = count_tokens(shards["train"], shards.special.vocab_size)
    candidates = candidate_mask(shards.special)
    if (stray := counts[~candidates].sum()) > 0:
        raise ValueError(f"{folder}: {stray} training tokens are [PAD], [MASK] or the like; expected none in a text")
    probability, information = token_information(counts, candidates, smoothing)
    table = InformationTable(counts, candidates, probability, information)
    write_information(out / "table.parquet", table, token_texts(shards.tokenizer_folder, shards.special))
    curve = zipf_curve(counts)
    write_text(out / "zipf.csv", "rank,count\n" + "".join(f"{rank},{count}\n" for rank, count in curve))
    metrics = _summary(counts, table, smoothing, zipf_exponent(curve))
    write_json(out / "metrics.json", metrics)
    context.journal.metrics({key: metrics[key] for key in ("entropy_nats", "mean_information_nats", "zipf_exponent")})
    context.journal.artifact(out / "zipf.csv")


def _summary(counts: NDArray[np.int64], table: InformationTable, smoothing: float, exponent: float) -> dict[str, Any]:
    return {
        "vocab_size": len(counts),
        "candidates": int(table.candidates.sum()),
        "train_tokens": int(counts.sum()),
        "distinct_tokens": int((counts > 0).sum()),
        "entropy_nats": entropy(counts),
        "mean_information_nats": mean_information(table.probability, table.information),
        "smoothing": smoothing,
        "zipf_exponent": exponent,
    }


def _sections(params: Params, _: str | None) -> dict[str, Any]:
    return {"information": params.information.model_dump(mode="json")}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run("information", _body, argv, paths=["tokens", "out"], instance="tokenizer", sections=_sections)


if __name__ == "__main__":
    sys.exit(main())
