"""Progress with an estimate of the time left: a bar on a terminal, a line every ten seconds elsewhere.

Of several processes that do one thing together the first tells.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from diffusionbert.ranks import rank

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[Item], *, label: str, total: int | None = None, done: int = 0) -> Iterator[Item]:
    """Yields the items while telling on stderr how far it is; `done` of `total` were finished by an earlier run."""
    if total is None and isinstance(items, Sized):
        total = done + len(items)
    if rank() > 0:
        yield from items
        return
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=label, total=total, initial=done, dynamic_ncols=True, leave=False)
        return
    start = told = time.monotonic()
    for number, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - told >= SECONDS_BETWEEN_LINES:
            told = now
            print(_line(label, number, done, total, now - start), file=sys.stderr, flush=True)


def _line(label: str, number: int, done: int, total: int | None, elapsed: float) -> str:
    if total is None:
        return f"{label}: {done + number} done in {_clock(elapsed)}"
    left = elapsed / number * (total - done - number)
    return f"{label}: {done + number}/{total} ({(done + number) / total:.0%}), about {_clock(left)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
