"""Numbers of the command line: the range of each, checked before anything is read."""

from __future__ import annotations

MOST = 2**31 - 1  # of counts: what torch takes as a number of threads, and more than any memory holds
MOST_SEED = 2**63 - 1  # a key of the generator is made of signed 64-bit integers


def check_range(name: str, value: int | None, least: int, most: int) -> None:
    """Raises ValueError for a number out of its range; None, for one that is not given, is in any."""
    if value is None or least <= value <= most:
        return
    expected = f"at least {least}" if value < least else f"at most {most}"
    raise ValueError(f"{name}: found {value}; expected {expected}")
