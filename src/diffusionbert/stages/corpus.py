"""corpus: raw text -> cleaned, deduplicated sentences, split by document."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from diffusionbert.config import Params
from diffusionbert.corpus.build import build, documents
from diffusionbert.files import write_json
from diffusionbert.stages import shell


def _body(context: shell.Context) -> None:
    corpus, out = context.params.corpus, context.paths["out"]
    metrics = build(corpus, documents(corpus, context.params.packages), out / "text")
    write_json(out / "metrics.json", metrics)
    context.journal.metrics({f"{split}_sentences": count for split, count in metrics["sentences"].items()})


def _sections(params: Params, _: str | None) -> dict[str, Any]:
    return {"corpus": params.corpus.model_dump(mode="json")}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run("corpus", _body, argv, paths=["out"], sections=_sections)


if __name__ == "__main__":
    sys.exit(main())
