"""The type of the fixture `program`: `python -m diffusionbert ...` called in process."""

from __future__ import annotations

from collections.abc import Callable

Program = Callable[..., tuple[int, str, str]]  # exit code, stdout, stderr
