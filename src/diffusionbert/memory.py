"""Freed memory kept for the next array of its size."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> None:
    """Has glibc's malloc keep what is freed instead of returning it to the kernel.

    A step frees and asks again for several arrays of the logits' size. By default each comes fresh from the kernel,
    which clears it page by page: two thirds of a CPU step's time. Elsewhere than under glibc nothing changes.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another libc
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
