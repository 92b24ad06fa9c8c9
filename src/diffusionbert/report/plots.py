"""Drawings as self-contained SVG: equal data, equal bytes; readable on a light and on a dark page.

Text and axes take the page's own colours (`currentColor`, `--line`), lines the colours of PALETTE, which
stand out on both.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator

from diffusionbert.report.results import ArmResults, Rows

PALETTE = ("#3b82c4", "#d9730d", "#2a9d6e", "#c0508f", "#8a6fd1", "#b3891b", "#3a9aa8", "#d0524f", "#7a8a99")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "h")
PROTOCOLS = ("valid", "oracle", "released", "exact", "bound")
INK, LINE = "#010203", "#030201"  # stand-ins, replaced by the page's colours
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
}


def loss_curves(arms: Sequence[ArmResults]) -> str | None:
    """Training loss in nats per token against the step, one line an arm."""
    drawn = [arm for arm in arms if arm.history]
    if not drawn:
        return None
    figure, axes = _axes("step", "loss (nats per token)")
    for number, arm in enumerate(drawn):
        steps, losses = _columns(arm.history or [], "step", "loss_nats_per_token")
        axes.plot(steps, losses, color=_colour(number), label=arm.label)
    return _svg(figure, axes, "loss")


def validation_curves(arms: Sequence[ArmResults]) -> str | None:
    """The bound on the valid split against the step, with its interval where there is one."""
    drawn = [arm for arm in arms if arm.validation]
    if not drawn:
        return None
    figure, axes = _axes("step", "validation (nats per sentence)")
    for number, arm in enumerate(drawn):
        rows = arm.validation or []
        steps, nats = _columns(rows, "step", "nats_per_sentence")
        axes.plot(steps, nats, color=_colour(number), marker=MARKERS[number % len(MARKERS)], ms=3, label=arm.label)
        if all(row.get("low") is not None for row in rows):
            low, high = _columns(rows, "low", "high")
            axes.fill_between(steps, low, high, color=_colour(number), alpha=0.15, linewidth=0)
    return _svg(figure, axes, "validation")


def protocols(arms: Sequence[ArmResults]) -> str | None:
    """Perplexity per word with its interval of every arm, one mark a protocol."""
    drawn = [arm for arm in arms if arm.evaluate]
    if not drawn:
        return None
    figure, axes = _axes("perplexity per word", "", height=0.9 + 0.62 * len(drawn))
    named: set[str] = set()
    for row, arm in enumerate(drawn):
        held = (arm.evaluate or {})["protocols"]
        for number, protocol in enumerate(PROTOCOLS):
            if protocol in held:
                _mark(axes, held[protocol], row + 0.2 * (min(number, 2) - 1), number, protocol, named)
    axes.set_yticks(range(len(drawn)), [_wrapped(arm.label) for arm in drawn])
    axes.set_ylim(len(drawn) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    return _svg(figure, axes, "protocols", columns=len(named))


def _mark(axes: Axes, held: Mapping[str, Any], y: float, number: int, name: str, named: set[str]) -> None:
    figure = held["perplexity_per_word"]
    spread = [[figure["value"] - figure["low"]], [figure["high"] - figure["value"]]]
    axes.errorbar(
        [figure["value"]],
        [y],
        xerr=[[max(0.0, side[0])] for side in spread],
        fmt=MARKERS[number],
        ms=5,
        capsize=2,
        color=_colour(number),
        markerfacecolor=_colour(number) if held["is_bound"] or name == "exact" else "none",
        label=None if name in named else name,
    )
    named.add(name)


def spindle_curves(rows: Rows) -> str | None:
    """The probability that each token of the example sentence is still visible at t (the paper's Fig. 2)."""
    tokens = list(dict.fromkeys(row["token"] for row in rows))
    if not tokens:
        return None
    figure, axes = _axes("t", "probability of being visible")
    for number, token in enumerate(tokens):
        times, visible = _columns([row for row in rows if row["token"] == token], "t", "alpha_bar")
        axes.plot(times, visible, color=_colour(number), label=_plain(str(token)))
    return _svg(figure, axes, "spindle", columns=4)


def zipf(rows: Rows) -> str | None:
    """Token counts by rank on two logarithmic axes."""
    if not rows:
        return None
    figure, axes = _axes("rank", "count in the training text")
    ranks, counts = _columns(rows, "rank", "count")
    axes.loglog(ranks, counts, color=_colour(0), marker="o", ms=2)
    return _svg(figure, axes, "zipf")


def audit(rows: Rows) -> str | None:
    """Nats per token above a known entropy against lambda: one colour a protocol, dashed for the true posterior.

    `released` is a band over the corpus sizes, its line at the largest; what lies below zero cannot be.
    """
    if not rows:
        return None
    figure, axes = _axes("lambda", "nats per token above the entropy", height=3.6)
    lowest = min(row["excess_nats_per_token"] for row in rows if row["excess_nats_per_token"] is not None)
    bottom, top = min(1.12 * lowest, -0.05), max(-0.12 * lowest, 0.02)
    axes.axhspan(bottom, 0, color=LINE, alpha=0.45, linewidth=0)
    axes.axhline(0, color=INK, linewidth=1)
    for number, protocol in enumerate(PROTOCOLS[:3]):
        for denoiser, style in (("true_posterior", "--"), ("own_minimiser", "-")):
            if protocol == "valid" and denoiser == "own_minimiser":
                continue  # the minimiser of oracle's objective: a figure of the table
            held = [row for row in rows if (row["protocol"], row["denoiser"]) == (protocol, denoiser)]
            _audited(axes, held, style, number, protocol, denoiser)
    lambdas = sorted({row["spindle_lambda"] for row in rows})
    axes.text(
        lambdas[0], bottom + 0.03 * (top - bottom), "below the entropy: impossible for a bound", fontsize=8, color=INK
    )
    axes.set_ylim(bottom, top)
    axes.set_xticks(lambdas, [f"{spindle_lambda:g}" for spindle_lambda in lambdas])
    return _svg(figure, axes, "audit", columns=2)


def _audited(axes: Axes, rows: Rows, style: str, number: int, protocol: str, denoiser: str) -> None:
    """One line, and a band where there are several corpus sizes."""
    by_size: dict[int, Rows] = {}
    for row in rows:
        by_size.setdefault(row["corpus_tokens"] or 0, []).append(row)
    largest = max(by_size)
    lambdas, excess = _columns(by_size[largest], "spindle_lambda", "excess_nats_per_token")
    name = "valid" if protocol == "valid" else f"{protocol}, {denoiser.replace('_', ' ')}"
    first = protocol == "valid"  # drawn over oracle's dashed line, which is almost the same
    axes.plot(
        lambdas,
        excess,
        "-" if first else style,
        color=_colour(number),
        marker=MARKERS[number],
        ms=6 if first else 4,
        linewidth=2.4 if first else 1.4,
        zorder=3 if first else 2,
        label=name,
    )
    if len(by_size) > 1:
        columns = [_columns(held, "spindle_lambda", "excess_nats_per_token")[1] for held in by_size.values()]
        low, high = ([pick(values) for values in zip(*columns, strict=True)] for pick in (min, max))
        axes.fill_between(lambdas, low, high, color=_colour(number), alpha=0.12, linewidth=0)


def speed(arms: Mapping[str, Rows]) -> str | None:
    """Seconds per sentence against sampling steps, both logarithmic, one line a label."""
    drawn = {label: rows for label, rows in arms.items() if rows}
    if not drawn:
        return None
    figure, axes = _axes("sampling steps", "seconds per sentence")
    for number, (label, rows) in enumerate(drawn.items()):
        steps = [row["num_steps"] for row in rows]
        seconds = [row["seconds_per_sentence"]["median"] for row in rows]
        axes.loglog(steps, seconds, color=_colour(number), marker=MARKERS[number % len(MARKERS)], ms=4, label=label)
    ticks = sorted({row["num_steps"] for rows in drawn.values() for row in rows})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    return _svg(figure, axes, "speed")


def _axes(x: str, y: str, height: float = 3.1) -> tuple[Figure, Axes]:
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.2, height), layout="constrained")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    return figure, axes


def _svg(figure: Figure, axes: Axes, name: str, columns: int = 1) -> str:
    """The drawing without its XML header, sizes and dates, ids salted by name so that drawings share a
    page.
    """
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside lower center", ncols=columns)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    plt.close(figure)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    return svg.replace(INK, "currentColor").replace(LINE, "var(--line)").strip()


def _columns(rows: Rows, x: str, y: str) -> tuple[list[float], list[float]]:
    held = [(row[x], row[y]) for row in rows if row.get(y) is not None]
    return [pair[0] for pair in held], [pair[1] for pair in held]


def _colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


def _wrapped(label: str) -> str:
    return _plain(label).replace(", ", ",\n", 1)


def _plain(label: str) -> str:
    """A dollar sign would start matplotlib's mathematics."""
    return label.replace("$", r"\$")
