"""BERTScore (Zhang et al., arXiv 1904.09675): every word piece matched with the most similar one of the other text.

    P = mean_i max_j cos(x_i, y_j),   R = mean_j max_i cos(x_i, y_j),   F = 2 P R / (P + R)

with x the contextual vectors of the text and y those of the reference. As in the authors' package without idf and
without rescaling: the tokenizer's own first and last token count for nothing and may be matched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Encoded:
    """A text's contextual vectors (n, h) of length one, and which of them count (n,)."""

    vectors: Vectors
    counts: NDArray[np.bool_]

    @classmethod
    def of(cls, vectors: Vectors, counts: NDArray[np.bool_]) -> Encoded:
        return cls(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), counts)


def bertscore(text: Encoded, reference: Encoded) -> float:
    """F; 0 where either side has no token that counts."""
    if not text.counts.any() or not reference.counts.any():
        return 0.0
    similarity = text.vectors.astype(np.float64) @ reference.vectors.astype(np.float64).T
    precision = float(similarity.max(axis=1)[text.counts].mean())
    recall = float(similarity.max(axis=0)[reference.counts].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
