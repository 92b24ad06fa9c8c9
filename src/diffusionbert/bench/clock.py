"""Seconds of things that take turns, so that what disturbs the machine disturbs them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


def wait_for(device: torch.device) -> None:
    """Returns when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass
class Samples:
    """Wall and processor seconds of one thing, a pair for every repeat; processor seconds mean little on a GPU."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Medians and extremes in milliseconds."""
        return {
            "median_ms": round(1e3 * statistics.median(self.wall), 3),
            "min_ms": round(1e3 * min(self.wall), 3),
            "max_ms": round(1e3 * max(self.wall), 3),
            "processor_ms": round(1e3 * statistics.median(self.processor), 3),
            "repeats": len(self.wall),
        }

    @property
    def median(self) -> float:
        return statistics.median(self.wall)


class Stopwatch:
    """Adds what passes between `start` and `stop` to samples, as a time per piece of work."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._wall = self._processor = 0.0

    def start(self) -> None:
        wait_for(self.device)
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def stop(self, samples: Samples, pieces: int = 1) -> None:
        wait_for(self.device)
        samples.wall.append((time.perf_counter() - self._wall) / pieces)
        samples.processor.append((time.process_time() - self._processor) / pieces)


def take_turns(
    work: Mapping[str, Callable[[], object]], *, repeats: int, device: torch.device, pieces: int = 1
) -> dict[str, Samples]:
    """Every thing once to warm up, then `repeats` rounds in which each has its turn of `pieces` calls."""
    watch, samples = Stopwatch(device), {name: Samples() for name in work}
    for call in work.values():
        call()
    for _ in range(repeats):
        for name, call in work.items():
            watch.start()
            for _ in range(pieces):
                call()
            watch.stop(samples[name], pieces)
    return samples


def ratio(ours: Samples, other: Samples) -> float:
    """The median over the rounds of wall time over wall time: what slows the machine for a while slows both."""
    return _median_ratio(ours.wall, other.wall)


def processor_ratio(ours: Samples, other: Samples) -> float:
    """The same of processor time, which other work on the machine disturbs less."""
    return _median_ratio(ours.processor, other.processor)


def _median_ratio(ours: list[float], other: list[float]) -> float:
    return statistics.median(mine / theirs for mine, theirs in zip(ours, other, strict=True))
