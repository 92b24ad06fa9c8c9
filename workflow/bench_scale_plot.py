"""Seconds and memory of the data stages against the number of sentences, as one SVG that stands by itself."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt

from diffusionbert.corpus.lm1b import PUBLISHED_COUNTS

FULL = PUBLISHED_COUNTS["train"]
SMALLEST = 1_000_000  # of the largest size, for a line beyond it
MARKERS = ("o", "s", "^")


def drawing(sizes: dict[int, dict[str, Any]], stages: Sequence[str]) -> str:
    """Equal figures give equal bytes; the dotted parts are the lines through the last two sizes, to LM1B's."""
    # a white ground, as the picture lies in a page whose ground may be dark
    with matplotlib.rc_context({"svg.hashsalt": "scale", "svg.fonttype": "none", "font.size": 9}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained")
        for marker, stage in zip(MARKERS, stages, strict=True):
            for axes, key in ((left, "seconds"), (right, "private_memory_mb")):
                x = list(sizes)
                y = [values[stage][key] for values in sizes.values()]
                (line,) = axes.plot(x, y, marker=marker, label=stage)
                if len(x) > 1 and x[-1] >= SMALLEST:
                    slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
                    axes.plot([x[-1], FULL], [y[-1], y[-1] + slope * (FULL - x[-1])], ":", color=line.get_color())
        for axes, told in ((left, "seconds"), (right, "private memory, MB")):
            axes.set_xscale("log")
            axes.set_xlabel("training sentences")
            axes.set_ylabel(told)
            axes.axvline(FULL, color="grey", linewidth=0.8)
            axes.grid(visible=True, linewidth=0.4)
        left.set_yscale("log")
        right.set_ylim(bottom=0)
        left.legend(frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        plt.close(figure)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
