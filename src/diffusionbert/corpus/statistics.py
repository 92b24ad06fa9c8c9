"""Token counts over memory-mapped shards, the table made of them, and its Zipf curve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffusionbert.corpus.shards import Split
from diffusionbert.corpus.special import Special
from diffusionbert.tables import read_table, write_table

_TOKENS_AT_ONCE = 1 << 20  # bincount widens what it counts to eight bytes a token
MAX_ZIPF_ROWS = 200


@dataclass(frozen=True)
class InformationTable:
    """What is known of every token id, all (V,); information in nats, NaN where an id is no candidate."""

    counts: NDArray[np.int64]
    candidates: NDArray[np.bool_]
    probability: NDArray[np.float64]
    information: NDArray[np.float64]


def count_tokens(split: Split, vocab_size: int) -> NDArray[np.int64]:
    """How often each id occurs, (V,). Counts of parts add up to those of the whole, however it is sharded.

    Of pairs the targets alone are counted. Raises ValueError for an id outside the vocabulary.
    """
    counts = np.zeros(vocab_size, dtype=np.int64)
    for flat in split.counted:
        for start in range(0, len(flat), _TOKENS_AT_ONCE):
            part = np.bincount(flat[start : start + _TOKENS_AT_ONCE], minlength=vocab_size)
            if len(part) > vocab_size:
                raise ValueError(
                    f"split '{split.name}' has the token id {len(part) - 1}; the vocabulary has {vocab_size}"
                )
            counts += part
    return counts


def candidate_mask(special: Special) -> NDArray[np.bool_]:
    """Which ids can be a word of the text, (V,)."""
    candidates = np.ones(special.vocab_size, dtype=np.bool_)
    candidates[list(special.not_candidates)] = False
    return candidates


def write_information(path: Path, table: InformationTable, tokens: list[str]) -> None:
    """One row per id, in the order of ids; `tokens` are their texts."""
    columns = {
        "token_id": pa.array(np.arange(len(tokens), dtype=np.int32)),
        "token": pa.array(tokens, pa.string()),
        "candidate": pa.array(table.candidates),
        "count": pa.array(table.counts),
        "probability": pa.array(table.probability),
        "information": pa.array(table.information),
    }
    write_table(path, columns)


def read_information(path: Path, special: Special) -> InformationTable:
    """Raises ValueError when the file is no such table or its vocabulary is not the shards'."""
    names = ["count", "candidate", "probability", "information"]
    columns = read_table(path, "a table of token information", ["token_id", *names])
    if columns.num_rows != special.vocab_size:
        raise ValueError(f"{path}: {columns.num_rows} tokens; the shards' vocabulary has {special.vocab_size}")
    counts, candidates, probability, information = (columns[name].to_numpy() for name in names)
    table = InformationTable(
        counts.astype(np.int64),
        candidates.astype(np.bool_),
        probability.astype(np.float64),
        information.astype(float),
    )
    if not np.array_equal(table.candidates, candidate_mask(special)):
        raise ValueError(f"{path}: its candidate tokens are not those of the shards' tokenizer")
    return table


def entropy(counts: NDArray[np.int64]) -> float:
    """-sum p ln p of the relative frequencies, nats per token."""
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def zipf_curve(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(rank, count) at 200 ranks at most, evenly spaced in the logarithm, the first and last among them."""
    ranked = np.sort(counts[counts > 0])[::-1]
    ranks = np.unique(np.geomspace(1, len(ranked), MAX_ZIPF_ROWS).round().astype(int))
    return [(int(rank), int(ranked[rank - 1])) for rank in ranks]


def zipf_exponent(curve: list[tuple[int, int]]) -> float:
    """s of count ~ rank^-s: least squares over the curve's points, so decades of ranks weigh the same."""
    if len(curve) < 2:
        raise ValueError(f"{len(curve)} distinct tokens; expected at least 2")
    rank, count = np.log(np.array(curve, dtype=np.float64)).T
    return float(-np.polyfit(rank, count, 1)[0])
