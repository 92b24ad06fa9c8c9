"""tokenize: sentences -> memory-mapped Arrow shards of token ids."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusionbert.config import Params
from diffusionbert.corpus.pair_encoding import PairRows
from diffusionbert.corpus.shard_writer import Rows, write_shards
from diffusionbert.corpus.text import check_text, read_sentences
from diffusionbert.corpus.tokenizers import load_tokenizer, special_ids
from diffusionbert.files import write_json
from diffusionbert.stages import shell

CHECKPOINTS = Path(".checkpoints")


def _body(context: shell.Context) -> None:
    params, name = context.params, str(context.instance)
    if name not in params.tokenizers:
        raise ValueError(f"--tokenizer {name}: expected one of tokenizers: {', '.join(sorted(params.tokenizers))}")
    text, out = context.paths["corpus"] / "text", context.paths["out"]
    source, settings = params.tokenizers[name], params.tokenize
    check_text(text)
    tokenizer = load_tokenizer(name, source, params.packages, read_sentences(text, "train"))
    special = special_ids(tokenizer, f"tokenizers.{name}")
    rows = Rows(settings.max_length, source.packed, _pair_rows(params))
    counts = write_shards(
        text,
        out / "shards",
        tokenizer,
        special,
        rows,
        shard_size=settings.shard_size,
        workers=settings.workers or params.runtime.threads,
        checkpoints=CHECKPOINTS / f"tokenize-{params.profile}-{name}",
        about=_about(params),
    )
    metrics: dict[str, Any] = {"vocab_size": special.vocab_size}
    for split, counted in counts.items():
        for key, value in counted.told(rows).items():
            metrics.setdefault(key, {})[split] = value
        of_words = counted.tokens - counted.given - counted.ends
        metrics.setdefault("tokens_per_word", {})[split] = of_words / counted.words
    write_json(out / "metrics.json", metrics)
    for key in ("tokens", "tokens_per_word"):
        context.journal.metrics({f"{split}_{key}": value for split, value in metrics[key].items()})


def _pair_rows(params: Params) -> PairRows | None:
    settings, pairs = params.tokenize, params.corpus.pairs
    if params.corpus.source != "pairs" or pairs is None:
        return None
    assert settings.max_target is not None, "the schema asks for it"
    return PairRows(
        settings.max_source, settings.max_target, settings.target_length == "padded", skip_long=pairs.skip_long
    )


def _about(params: Params) -> dict[str, Any]:
    """What the text is, as far as it changes what a figure means."""
    lm1b = params.corpus.lm1b
    detokenized = lm1b.detokenize if params.corpus.source == "lm1b" and lm1b is not None else None
    return {"source": params.corpus.source, "detokenized": detokenized}


def _sections(params: Params, name: str | None) -> dict[str, Any]:
    chosen = params.tokenizers.get(str(name))
    tokenizer = chosen.model_dump(mode="json") if chosen is not None else None
    return {"tokenize": params.tokenize.model_dump(mode="json"), "tokenizer": tokenizer}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run("tokenize", _body, argv, paths=["corpus", "out"], instance="tokenizer", sections=_sections)


if __name__ == "__main__":
    sys.exit(main())
