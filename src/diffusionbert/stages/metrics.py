"""Stage metrics: scores of every arm's samples, the real-text ceiling, paired differences between arms."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diffusionbert.config import Arm, Metrics, Params
from diffusionbert.files import write_json
from diffusionbert.metrics.perplexity import Paired, paired
from diffusionbert.metrics.scores import REAL_TEXT, Texts, real_texts, score, signatures
from diffusionbert.progress import track
from diffusionbert.stages import shell
from diffusionbert.words import split_words

LINEAR = "order_linear"
# The comparison that the paper's table makes: the spindle arm as the released code scores it, over the linear
# arm as it scores that one, which at lambda = 0 is the valid bound but for a cap.
AS_PUBLISHED = "released_against_valid"
NOT_FIGURES = {"sentence", "words", "tokens"}


def body(context: shell.Context) -> None:
    params, paths = context.params, context.paths
    texts = {arm: read_samples(paths["sample"] / arm / "samples.jsonl") for arm in params.arms}
    num_samples = same_size(texts)
    references = references_of(read_split(paths["corpus"] / "text", "test"), params.metrics)
    cut = int(np.median([len(words) for arm in texts.values() for words in arm.quality + arm.diversity]))
    seed = params.metrics.seed
    real = real_texts(read_split(paths["corpus"] / "text", "valid"), num_samples, cut, seed)
    words = (split_words(text) for text in track(references, label="BLEU references"))
    scores = score({**texts, REAL_TEXT: real}, words, seed, params.metrics.bootstrap)
    ceiling = scores.pop(REAL_TEXT)
    result = {
        "signature": signatures(num_samples, len(references), ceiling["samples"], cut, seed),
        "arms": scores,
        "real_text": ceiling,
        "references": len(references),
        "paired": paired_figures(params, paths["evaluate"]),
        "orders": order_effects(params, paths["evaluate"]),
    }
    write_json(paths["out"] / "metrics.json", result)
    context.journal.metrics(flat(scores))


def read_samples(path: Path) -> Texts:
    """The texts of one arm; raises ValueError naming the file when it is missing, damaged or too short."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["text"] for line in lines]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; expected the samples of this arm") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error!r}; expected one JSON object a line with the key 'text'") from None
    half = len(texts) // 2
    if half < 2:
        raise ValueError(f"{path}: {len(texts)} samples; expected at least 4, half for BLEU and half for Self-BLEU")
    words = [split_words(text) for text in texts]
    return Texts(quality=words[:half], diversity=words[half : 2 * half])


def same_size(texts: Mapping[str, Texts]) -> int:
    """Samples in each set; Self-BLEU and distinct-n of different numbers of samples do not compare."""
    sizes = {arm: len(arm_texts.quality) for arm, arm_texts in texts.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the arms have different numbers of samples: {sizes}; expected the same number")
    return next(iter(sizes.values()))


def read_split(folder: Path, split: str) -> list[str]:
    """The raw sentences of a split, in order; raises ValueError when it has no file or no sentence."""
    shards = sorted(folder.glob(f"{split}-*-of-*.txt"))
    if not shards:
        raise ValueError(f"{folder}: no {split}-*-of-*.txt; expected the text of the {split} split")
    sentences = [line for shard in shards for line in shard.read_text(encoding="utf-8").split("\n") if line]
    if not sentences:
        raise ValueError(f"{folder}: the {split} split is empty; expected a sentence a line")
    return sentences


def references_of(sentences: list[str], settings: Metrics) -> list[str]:
    """Every test sentence, or a seeded draw of `max_references` of them."""
    if settings.max_references is None or settings.max_references >= len(sentences):
        return sentences
    rng = np.random.default_rng(settings.seed)
    chosen = np.sort(rng.choice(len(sentences), settings.max_references, replace=False))
    return [sentences[row] for row in chosen]


def paired_figures(params: Params, folder: Path) -> dict[str, Any]:
    """Every arm against its baseline, for every figure that both have."""
    result = {}
    for name, arm in params.arms.items():
        if arm.baseline is None:
            continue
        ours, theirs = (read_nats(folder / each / "sentences.parquet") for each in (name, arm.baseline))
        if not np.array_equal(ours["sentence"], theirs["sentence"]):
            raise ValueError(f"{folder}: {name} and {arm.baseline} were scored on different sentences")
        shared = [figure for figure in ours if figure in theirs and figure not in NOT_FIGURES]
        figures = {figure: against(ours, theirs, figure, params.metrics) for figure in shared}
        if spindle_over_linear(arm, params.arms[arm.baseline]) and "released" in ours and "valid" in theirs:
            as_published = {**theirs, "released": theirs["valid"]}
            figures[AS_PUBLISHED] = against(ours, as_published, "released", params.metrics)
        result[name] = {
            "baseline": arm.baseline,
            "figures": {key: _as_dict(value) for key, value in figures.items()},
        }
    return result


def spindle_over_linear(arm: Arm, baseline: Arm) -> bool:
    schedules = (arm.settings.get("schedule", "linear"), baseline.settings.get("schedule", "linear"))
    return schedules == ("spindle", "linear")


def order_effects(params: Params, folder: Path) -> dict[str, Any]:
    """Every arm under each spindle order against itself under the linear one, where it was scored so."""
    result = {}
    for name in params.arms:
        nats = read_nats(folder / name / "sentences.parquet")
        others = [figure for figure in nats if figure.startswith("order_") and figure != LINEAR]
        if LINEAR in nats and others:
            linear = {**nats, **dict.fromkeys(others, nats[LINEAR])}
            result[name] = {each: _as_dict(against(nats, linear, each, params.metrics)) for each in others}
    return result


def against(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], figure: str, settings: Metrics) -> Paired:
    return paired(
        ours[figure],
        theirs[figure],
        ours["words"],
        np.random.default_rng(settings.seed),
        settings.bootstrap,
        baseline_sizes=theirs["words"],
    )


def read_nats(path: Path) -> dict[str, np.ndarray]:
    """The columns of sentences.parquet; raises ValueError naming the file when it is not what it must be."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; expected the nats of every sentence") from None
    except pa.ArrowException as error:
        raise ValueError(f"{path}: not a parquet file: {error}") from None
    columns = {name: table[name].to_numpy() for name in table.column_names}
    missing = NOT_FIGURES - set(columns)
    if missing:
        raise ValueError(f"{path}: no column {', '.join(sorted(missing))}; found {', '.join(columns)}")
    for name, column in columns.items():
        if not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            raise ValueError(f"{path}: {name} of row {row} is {column[row]}; expected a finite number")
    return columns


def _as_dict(figure: Paired) -> dict[str, Any]:
    return {
        "difference_nats_per_sentence": figure.difference.as_dict(),
        "perplexity_per_word_ratio": figure.ratio.as_dict(),
    }


def flat(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """One number per arm and score, for the tracker."""
    return {
        f"{arm}.{name}": value["value"] if isinstance(value, dict) else float(value)
        for arm, values in scores.items()
        for name, value in values.items()
    }


def sections(params: Params, instance: str | None) -> dict[str, Any]:
    return {"metrics": params.metrics.model_dump()}


def main(argv: Sequence[str] | None = None) -> int:
    paths = ("corpus", "evaluate", "sample", "out")
    return shell.run("metrics", body, argv, paths=paths, sections=sections)


if __name__ == "__main__":
    sys.exit(main())
