"""A measured number as it is kept: value, interval, unit, and what it was taken over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from diffusionbert.config import Params
from diffusionbert.metrics.perplexity import LEVEL, Interval
from diffusionbert.stages.compute import Machine

Array = NDArray[np.float64]
RESAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """One number; `low` and `high` bound its 95 % interval and are None where nothing was sampled."""

    what: str
    unit: str
    value: float
    low: float | None
    high: float | None
    over: str

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None and not np.isfinite(number):
                raise ValueError(f"{self.what}: {name} is {number}; expected a finite number")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


Figures = dict[str, Figure]


class FinishedRun(Protocol):
    """What an entry is measured on: a run of sentences, or one of pairs."""

    @property
    def params(self) -> Params: ...

    @property
    def machine(self) -> Machine: ...

    @property
    def seed(self) -> int: ...


GroundT = TypeVar("GroundT", bound=FinishedRun)


@dataclass(frozen=True)
class Entry(Generic[GroundT]):
    """A block of docs/deviations.md: its marker, how its figures are measured, and the one line that tells them.

    `headline` names figures in braces; the line is filled from the JSON alone.
    """

    key: str
    measure: Callable[[GroundT], Figures]
    headline: str


def of_interval(what: str, unit: str, interval: Interval, over: str) -> Figure:
    return Figure(what, unit, interval.value, interval.low, interval.high, over)


def exact(what: str, unit: str, value: float, over: str) -> Figure:
    """A number that was computed, not sampled."""
    return Figure(what, unit, float(value), None, None, over)


def bootstrap(statistic: Callable[[NDArray[np.int64]], float], size: int, seed: int) -> Interval:
    """A statistic of rows 0..size-1 and its 95 % percentile interval over rows drawn with replacement."""
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(0, size, size)) for _ in range(RESAMPLES)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(statistic(np.arange(size))), float(low), float(high))


def as_json(figures: Mapping[str, Figure]) -> list[dict[str, Any]]:
    """In their order, which is the order of the table's rows."""
    return [{"name": name, **figure.as_dict()} for name, figure in figures.items()]
