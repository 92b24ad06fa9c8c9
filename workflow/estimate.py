"""How far a run is and how long it will still take, from what its stages took before."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from diffusionbert.files import read_json


def expected_seconds(results: Path) -> dict[str, float]:
    """Stage -> seconds, from the timing files that an earlier run left or a clone brought along."""
    found = {}
    for path in sorted((results / "timing").rglob("*.json")):
        words = path.relative_to(results / "timing").with_suffix("").parts
        found["@".join(words)] = float(read_json(path)["seconds"])
    return found


@dataclass
class Progress:
    """The state of a run; the one mutable thing here, fed by Snakemake's lines and read by the ticker."""

    known: dict[str, float]
    cores: int
    names: list[str] = field(default_factory=list)  # the stages this run has to do
    jobs: dict[str, str] = field(default_factory=dict)  # job id -> stage
    running: dict[str, float] = field(default_factory=dict)  # stage -> when it started
    done: dict[str, float] = field(default_factory=dict)  # stage -> its seconds
    start: float = field(default_factory=time.monotonic)

    def started(self, job: str, name: str) -> None:
        self.jobs[job] = name
        self.running[name] = time.monotonic()

    def finished(self, job: str) -> tuple[str, float]:
        name = self.jobs[job]
        self.done[name] = time.monotonic() - self.running.pop(name)
        return name, self.done[name]

    @property
    def total(self) -> int:
        return max(len(self.names), len(self.done) + len(self.running))

    def state(self) -> str:
        return f"{len(self.done)} of {self.total} stages"

    def summary(self) -> str:
        return f"{len(self.done)} stages" if self.done else "nothing to do"

    def line(self) -> str:
        """One line: a bar, what is done, what runs, what is left."""
        now = time.monotonic()
        if not self.names:
            return f"asking DVC what is stale, {clock(now - self.start)} so far"
        share = len(self.done) / self.total if self.total else 0.0
        bar = "#" * round(20 * share) + "." * (20 - round(20 * share))
        left = self.seconds_left(now)
        about = f"about {clock(left)} left" if left is not None else "time left not known yet"
        names = ", ".join(list(self.running)) or "waiting"
        return f"[{bar}] {self.state()}, {clock(now - self.start)} so far, {about}; running: {names}"

    def seconds_left(self, now: float) -> float | None:
        """Work that is left over the cores, but no sooner than the longest stage; None: nothing to go by."""
        waiting = [name for name in self.names if name not in self.done]
        left = []
        for name in waiting:
            expected = self.expected(name)
            if expected is None:
                return None
            left.append(max(expected - (now - self.running.get(name, now)), 0.0))
        width = max(min(self.cores, len(left)), 1)
        return max(sum(left) / width, max(left, default=0.0))

    def expected(self, name: str) -> float | None:
        """The stage's time before, else its family's mean (this run's first), else the mean of all done."""
        if name in self.known:
            return self.known[name]
        family = name.partition("@")[0]
        for seconds in (self.done, self.known):
            like = [value for other, value in seconds.items() if other.partition("@")[0] == family]
            if like:
                return statistics.fmean(like)
        return statistics.fmean(self.done.values()) if self.done else None


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
