"""What a token tells: its probability in the training corpus and its information, H(v) = -ln p(v), in nats.

The paper's H is "the negative logarithm of its frequency in the training corpus" (the author; eq. 9 to 12 use it).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def token_information(
    counts: NDArray[np.int64], candidates: NDArray[np.bool_], smoothing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability and information (nats) of every id from its training count, both (V,).

    p(v) = (c_v + smoothing) / sum_w (c_w + smoothing) over the candidates; ids that are no candidate have
    probability 0 and information NaN. With smoothing > 0 and two candidates or more every H(v) is finite and > 0.

    Raises ValueError for fewer than two candidates, a negative count or a smoothing that is not positive.
    """
    if counts.shape != candidates.shape:
        raise ValueError(f"counts {counts.shape} and candidates {candidates.shape} differ in shape")
    if smoothing <= 0:
        raise ValueError(f"smoothing is {smoothing}; expected a number > 0")
    if candidates.sum() < 2:
        raise ValueError(f"{candidates.sum()} candidate tokens; expected at least 2")
    if (counts < 0).any():
        raise ValueError(f"the count of token {int(np.argmin(counts))} is negative")
    smoothed = np.where(candidates, counts + smoothing, 0.0).astype(np.float64)
    probability = smoothed / smoothed.sum()
    information = np.full(counts.shape, np.nan)
    information[candidates] = -np.log(probability[candidates])
    return probability, information


def mean_information(probability: NDArray[np.float64], information: NDArray[np.float64]) -> float:
    """Hbar of the corpus: the expected information of a training token, sum_v p(v) H(v), in nats."""
    known = probability > 0
    return float(np.dot(probability[known], information[known]))
