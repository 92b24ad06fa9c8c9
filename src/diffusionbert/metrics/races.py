"""How far a run is at a share of its steps, against another run's end and its own: paired over the same sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from diffusionbert.metrics.perplexity import Interval, mean_interval

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Nats of every sentence (S, N) as scored after each of S numbers of training steps (S,), rising."""

    steps: NDArray[np.int64]
    nats: Array

    def at(self, step: float) -> Array:
        """Nats of every sentence (N,) at a step within the curve, straight between the steps that were scored."""
        if not self.steps[0] <= step <= self.steps[-1]:
            raise ValueError(f"step {step:g} of a curve from step {self.steps[0]} to {self.steps[-1]}")
        upper = int(np.searchsorted(self.steps, step))
        if self.steps[upper] == step:
            row: Array = self.nats[upper]
            return row
        low, high = self.steps[upper - 1], self.steps[upper]
        share = (step - low) / (high - low)
        between: Array = (1 - share) * self.nats[upper - 1] + share * self.nats[upper]
        return between


@dataclass(frozen=True)
class Race:
    """Differences of mean nats per sentence at `step`; negative where the run is ahead already."""

    step: float
    is_scored: (
        bool  # else it lies between two scored steps, where a straight line is above a curve that falls ever slower
    )
    against_other: Interval
    against_itself: Interval


def race(ours: Curve, other: Curve, share: float, seed: int, resamples: int) -> Race:
    """`ours` at a share of its steps against both ends. Raises ValueError for other sentences or other steps."""
    if ours.nats.shape[1] != other.nats.shape[1] or ours.steps[-1] != other.steps[-1]:
        raise ValueError("two curves over different sentences or numbers of steps; expected the same")
    step = share * float(ours.steps[-1])
    here = ours.at(step)

    def gap(end: ArrayLike) -> Interval:
        return mean_interval(here - np.asarray(end), np.random.default_rng(seed), resamples)

    return Race(step, bool((ours.steps == step).any()), gap(other.nats[-1]), gap(ours.nats[-1]))
