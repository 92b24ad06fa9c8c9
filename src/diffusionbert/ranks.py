"""Which of several processes that do one thing together this is, as torchrun tells it."""

from __future__ import annotations

import os


def rank() -> int:
    """0 for the first of them, and for a process that is alone."""
    return int(os.environ.get("RANK", "0")) if num_ranks() > 1 else 0


def num_ranks() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
