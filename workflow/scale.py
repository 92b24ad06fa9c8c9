"""The measured figures in docs/scale.md: each trial keeps its own under results/scale/ and rewrites its block."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusionbert.files import write_json, write_text

PAGE = Path("docs/scale.md")
FIGURES = Path("results/scale")

Figures = Mapping[str, Any]


def keep(name: str, figures: Figures, text: str, root: Path = Path()) -> None:
    """Writes a trial's figures, and `text`, which tells them, between its markers.

    Raises ValueError when the page has no such markers.
    """
    page = root / PAGE
    begin, end = f"<!-- {name}: begin (written by `make test-{name}`) -->\n", f"<!-- {name}: end -->"
    found = page.read_text(encoding="utf-8")
    before, marker, rest = found.partition(begin)
    _, closing, after = rest.partition(end)
    if not marker or not closing:
        raise ValueError(f"{PAGE}: found no lines '{begin.strip()}' and '{end}'; expected both")
    write_json(root / FIGURES / f"{name}.json", figures)
    write_text(page, f"{before}{begin}{text.strip()}\n{end}{after}")
    print(f"written: {FIGURES / f'{name}.json'}, {PAGE}")
