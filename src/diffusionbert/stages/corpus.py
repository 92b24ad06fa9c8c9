"""corpus: raw text -> cleaned, deduplicated sentences, split by document; or pairs, split as they must be."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from diffusionbert.config import Params
from diffusionbert.corpus.build import build, documents
from diffusionbert.corpus.pair_build import build_pairs
from diffusionbert.corpus.pairs import Skipped, pairs
from diffusionbert.files import write_json
from diffusionbert.stages import shell


def _body(context: shell.Context) -> None:
    corpus, packages, out = context.params.corpus, context.params.packages, context.paths["out"]
    if corpus.pairs is not None and corpus.source == "pairs":
        skipped = Skipped()
        metrics = build_pairs(corpus, pairs(corpus.pairs, packages, skipped), skipped, out / "text")
    else:
        metrics = build(corpus, documents(corpus, packages), out / "text")
    write_json(out / "metrics.json", metrics)
    context.journal.metrics({f"{split}_sentences": count for split, count in metrics["sentences"].items()})


def _sections(params: Params, _: str | None) -> dict[str, Any]:
    return {"corpus": params.corpus.model_dump(mode="json")}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run("corpus", _body, argv, paths=["out"], sections=_sections)


if __name__ == "__main__":
    sys.exit(main())
