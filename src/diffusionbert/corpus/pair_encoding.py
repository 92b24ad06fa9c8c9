"""Pairs -> rows of token ids `source, separator, target`, of which the source and its separator are given.

A target is as long as it is, or it is filled up with end tokens to a length that all have, so that where it ends is
learnt. Separator and end are one token, the one that ends a text: [SEP] of BERT, </s> of RoBERTa. A row of no source
begins with its target: nothing is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffusionbert.corpus.encoding import Encoded, EncodedPairs, flat, ids_of, offsets_of, stored
from diffusionbert.corpus.text import pair_of
from diffusionbert.words import count_words


@dataclass(frozen=True)
class PairRows:
    """How rows are made of pairs."""

    max_source: int | None  # longer sources are truncated; None: none is
    max_target: int  # longer targets are truncated
    padded: bool  # whether targets are filled up with end tokens to `max_target`
    skip_long: bool = False  # whether a row of more than `max_length` tokens is left out instead of refused


def encode_pairs(
    backend: Any, lines: Sequence[str], max_length: int, rows: PairRows, separator: int, where: str, first_line: int = 0
) -> Encoded:
    """Rows of at most `max_length` tokens, and the words of each target as far as kept.

    `where` names the file of the lines in errors, and `first_line` of it come before them.

    Raises ValueError naming the line of a source that leaves no room for the target.
    """
    halves = [pair_of(line, f"{where}, line {number}") for number, line in enumerate(lines, start=first_line + 1)]
    sources = [ids for _, ids in ids_of(backend, [source for source, _ in halves])]
    targets = [ids for _, ids in ids_of(backend, [target for _, target in halves])]
    found: list[list[int]] = []
    given: list[int] = []
    kept: list[int] = []
    seen: list[str] = []
    truncated_sources = truncated = empty = skipped = ends = 0
    for number, (source, target, (_, text)) in enumerate(zip(sources, targets, halves, strict=True)):
        if not target:
            empty += 1
            continue
        cut = source[: rows.max_source]
        first = [*cut, separator] if cut else []
        fill = rows.max_target - len(target) if rows.padded else 0
        row = [*first, *target[: rows.max_target], *[separator] * fill]
        if len(row) > max_length:
            if not rows.skip_long:
                raise ValueError(
                    f"{where}, line {first_line + number + 1}: a source of {len(cut)} tokens ('{halves[number][0][:40]}"
                    f" ...'), with its target {len(row)}; "
                    f"expected at most tokenize.max_length = {max_length} (tokenize.max_source truncates sources, "
                    "corpus.pairs.skip_long: true leaves such pairs out)"
                )
            skipped += 1
            continue
        truncated_sources += len(cut) < len(source)
        if len(target) > rows.max_target:
            truncated += 1
            # the fast batch keeps no offsets; they are wanted for these few only
            text = text[: backend.encode(text, add_special_tokens=False).offsets[rows.max_target - 1][1]]
        found.append(row)
        given.append(len(first))
        kept.append(number)
        seen.append(text)
        ends += max(0, fill)
    lengths = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    beside = EncodedPairs(
        np.asarray(given, dtype=np.uint16),
        [halves[number][0] for number in kept],
        [halves[number][1] for number in kept],
        truncated_sources,
        skipped,
        ends,
    )
    words = stored(count_words(seen))
    return Encoded(flat(found), offsets_of(lengths), words, truncated, empty, len(found), pairs=beside)
