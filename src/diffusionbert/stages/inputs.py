"""What the stages over all arms read: samples, raw text, nats of every sentence; a fault is one line with the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from diffusionbert.config import Metrics, Params
from diffusionbert.metrics.races import Curve
from diffusionbert.metrics.scores import Texts
from diffusionbert.tables import read_table
from diffusionbert.words import split_words

NOT_FIGURES = {"sentence", "words", "tokens"}
MASKS = ("[MASK]", "<mask>")  # as tokenizers write it


@dataclass(frozen=True)
class Point:
    """One setting of the sampler on an arm's frontier, and its texts as words."""

    number: int
    temperature: float
    top_k: int | None
    words: list[list[str]]

    @property
    def setting(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "top_k": self.top_k}

    @property
    def texts(self) -> Texts:
        """One set for BLEU and Self-BLEU: neither score is biased by the other."""
        return Texts(self.words, self.words)


def read_samples(path: Path, mask_is_told: bool = False) -> Texts:
    """The texts of one arm; raises ValueError naming the file when it is missing, damaged or too short.

    And when a text has a [MASK] left, unless `mask_is_told`.
    """
    texts = [row["text"] for row in sample_rows(path, ("text",))]
    refuse_masks(path, [] if mask_is_told else texts)
    half = len(texts) // 2
    if half < 2:
        raise ValueError(f"{path}: {len(texts)} samples; expected at least 4, half for BLEU and half for Self-BLEU")
    words = [split_words(text) for text in texts]
    return Texts(quality=words[:half], diversity=words[half : 2 * half])


def read_frontier(path: Path) -> list[Point]:
    """The points of one arm's frontier, in their order; raises ValueError as `read_samples` does."""
    rows = sample_rows(path, ("point", "temperature", "top_k", "text"))
    refuse_masks(path, [row["text"] for row in rows])
    points = [
        Point(number, at[0]["temperature"], at[0]["top_k"], [split_words(row["text"]) for row in at])
        for number, at in ((number, list(at)) for number, at in groupby(rows, key=lambda row: row["point"]))
    ]
    if not points or min(len(point.words) for point in points) < 2:
        raise ValueError(f"{path}: {len(rows)} samples of {len(points)} points; expected at least 2 of every point")
    return points


def sample_rows(path: Path, keys: Sequence[str]) -> list[dict[str, Any]]:
    """These keys of every line; raises ValueError naming the file when it is missing or damaged."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [{key: row[key] for key in keys} for row in rows]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; expected the samples of this arm") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        told = ", ".join(f"'{key}'" for key in keys)
        plural = "s" if len(keys) > 1 else ""
        raise ValueError(f"{path}: {error!r}; expected one JSON object a line with the key{plural} {told}") from None


@dataclass(frozen=True)
class Candidates:
    """One arm's answers to the sources of a corpus of pairs, as many for each; all by source."""

    sources: list[str]
    references: list[str]
    texts: list[list[str]]

    @property
    def asked(self) -> list[tuple[str, str]]:
        return list(zip(self.sources, self.references, strict=True))


def read_candidates(path: Path, mask_is_told: bool = False) -> Candidates:
    """An arm's candidates; raises ValueError naming the file when it is missing or damaged.

    And when sources have different numbers of candidates, or a text has a [MASK] left, unless `mask_is_told`.
    """
    rows = sample_rows(path, ("source", "target", "candidates"))
    if not rows:
        raise ValueError(f"{path}: no rows; expected one for every source")
    for number, row in enumerate(rows, start=1):
        texts = row["candidates"]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{path}: line {number}: candidates are {texts!r:.80}; expected a list of texts")
        if len(texts) != len(rows[0]["candidates"]) or not texts:
            expected = f"{len(rows[0]['candidates'])} as on line 1" if rows[0]["candidates"] else "one at least"
            raise ValueError(f"{path}: line {number} has {len(texts)} candidates; expected {expected}")
        for key in ("source", "target"):
            if not isinstance(row[key], str):
                raise ValueError(f"{path}: line {number}: {key} is {row[key]!r:.80}; expected a text")
        if not mask_is_told and any(mask in text for mask in MASKS for text in texts):
            raise ValueError(f"{path}: line {number} has a {MASKS[0]} left; expected none, as the sampler fills all")
    return Candidates(*([row[key] for row in rows] for key in ("source", "target", "candidates")))


def refuse_masks(path: Path, texts: Sequence[str]) -> None:
    """Raises ValueError naming file and line of a text with a [MASK] left."""
    for number, text in enumerate(texts, start=1):
        if any(mask in text for mask in MASKS):
            raise ValueError(f"{path}: line {number} has a {MASKS[0]} left; expected none, as the sampler fills all")


def groups_of(params: Params) -> dict[str, dict[int, str]]:
    """Arm -> seed -> the arm trained under it: itself, and its replicates."""
    groups = {name: {arm.seed: name} for name, arm in params.arms.items() if arm.replicate_of is None}
    for name, arm in params.arms.items():
        if arm.replicate_of is not None:
            groups[arm.replicate_of][arm.seed] = name
    return groups


def read_curve(path: Path) -> Curve:
    """Nats of every sentence of the valid split as training went on. Raises ValueError as `read_nats` does."""
    table = read_table(path, "the nats of every validation", ["step", "sentence", "nats"])
    steps, nats = table["step"].to_numpy(), table["nats"].to_numpy()
    places = np.unique(steps)
    if not np.isfinite(nats).all() or len(nats) % len(places):
        raise ValueError(
            f"{path}: {len(nats)} nats of {len(places)} validations; expected finite ones, as many of each"
        )
    return Curve(places, nats.reshape(len(places), -1))


def same_size(sizes: Mapping[str, int]) -> int:
    """Samples in each set; Self-BLEU and distinct-n of different numbers of samples do not compare."""
    if len(set(sizes.values())) > 1:
        raise ValueError(f"there are different numbers of samples: {sizes}; expected the same number")
    return next(iter(sizes.values()))


def read_split(folder: Path, split: str) -> list[str]:
    """The raw sentences of a split, of pairs the targets, in order.

    Raises ValueError when it has no file or no sentence.
    """
    shards = sorted(folder.glob(f"{split}-*-of-*.txt"))
    if not shards:
        raise ValueError(f"{folder}: no {split}-*-of-*.txt; expected the text of the {split} split")
    sentences = [line for shard in shards for line in shard.read_text(encoding="utf-8").split("\n") if line]
    if not sentences:
        raise ValueError(f"{folder}: the {split} split is empty; expected a sentence a line")
    return [sentence.rpartition("\t")[2] for sentence in sentences]  # no sentence has a tab but between halves


def references_of(sentences: list[str], settings: Metrics) -> list[str]:
    """Every test sentence, or a seeded draw of `max_references` of them."""
    if settings.max_references is None or settings.max_references >= len(sentences):
        return sentences
    rng = np.random.default_rng(settings.seed)
    chosen = np.sort(rng.choice(len(sentences), settings.max_references, replace=False))
    return [sentences[row] for row in chosen]


def read_nats(path: Path) -> dict[str, np.ndarray]:
    """The columns of sentences.parquet; raises ValueError naming the file when it is not what it must be."""
    table = read_table(path, "the nats of every sentence", sorted(NOT_FIGURES))
    columns = {name: table[name].to_numpy() for name in table.column_names}
    for name, column in columns.items():
        if not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            raise ValueError(f"{path}: {name} of row {row} is {column[row]}; expected a finite number")
    return columns
