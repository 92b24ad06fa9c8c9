"""tokenize: sentences -> memory-mapped Arrow shards of token ids."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from diffusionbert.config import Params
from diffusionbert.corpus.shard_writer import write_shards
from diffusionbert.corpus.text import read_sentences
from diffusionbert.corpus.tokenizers import load_tokenizer, special_ids
from diffusionbert.files import write_json
from diffusionbert.stages import shell


def _body(context: shell.Context) -> None:
    params, name = context.params, str(context.instance)
    if name not in params.tokenizers:
        raise ValueError(f"--tokenizer {name}: expected one of tokenizers: {', '.join(sorted(params.tokenizers))}")
    text, out = context.paths["corpus"] / "text", context.paths["out"]
    tokenizer = load_tokenizer(name, params.tokenizers[name], params.packages, read_sentences(text, "train"))
    special = special_ids(tokenizer, f"tokenizers.{name}")
    settings = params.tokenize
    counts = write_shards(
        text,
        out / "shards",
        tokenizer,
        special,
        max_length=settings.max_length,
        shard_size=settings.shard_size,
    )
    metrics: dict[str, Any] = {"vocab_size": special.vocab_size}
    for split, counted in counts.items():
        for key, value in asdict(counted).items():
            metrics.setdefault(key, {})[split] = value
        metrics.setdefault("tokens_per_word", {})[split] = counted.tokens / counted.words
    write_json(out / "metrics.json", metrics)
    for key in ("tokens", "tokens_per_word"):
        context.journal.metrics({f"{split}_{key}": value for split, value in metrics[key].items()})


def _sections(params: Params, name: str | None) -> dict[str, Any]:
    chosen = params.tokenizers.get(str(name))
    tokenizer = chosen.model_dump(mode="json") if chosen is not None else None
    return {"tokenize": params.tokenize.model_dump(mode="json"), "tokenizer": tokenizer}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run("tokenize", _body, argv, paths=["corpus", "out"], instance="tokenizer", sections=_sections)


if __name__ == "__main__":
    sys.exit(main())
