"""docs/scale-data.md and its drawing, written from results/bench/scale.json and from nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from workflow.bench_scale_plot import SMALLEST, drawing

from diffusionbert.bench.page import IDLE
from diffusionbert.corpus.lm1b import PUBLISHED_COUNTS
from diffusionbert.files import read_json, write_text

PAGE, RESULT = Path("docs/scale-data.md"), Path("results/bench/scale.json")
FULL = PUBLISHED_COUNTS["train"]
STAGES = ("corpus", "tokenize", "information")
POINTS = 2  # the largest sizes, which the line to LM1B goes through
Sizes = dict[int, dict[str, Any]]


def write(place: Path, result: Path) -> None:
    """The page, and the drawing beside it. Raises ValueError when there is no result."""
    told = read_json(result)
    sizes = {int(size): values for size, values in sorted(told["sizes"].items(), key=lambda item: int(item[0]))}
    picture = place.with_suffix(".svg")
    write_text(picture, drawing(sizes, STAGES))
    write_text(place, rendered(told, sizes, picture.name))


def rendered(told: dict[str, Any], sizes: Sizes, picture: str) -> str:
    machine = told["machine"]
    loaded = max(values["load_per_core_before"] for values in sizes.values()) > IDLE
    busy = " The machine was not idle: times on the clock are of a busy one." if loaded else ""
    loads = ", ".join(str(values["load_per_core_before"]) for values in sizes.values())
    parts = [
        _HEAD,
        f"Sentences drawn from {told['base_sentences']:,}. "
        f"{machine['processor']}, {machine['cores']} cores, {told['workers']} workers; Python {machine['python']}. "
        f"Load per core before each size: {loads}.{busy}\n",
        f"![Seconds and memory against sentences]({picture})\n",
        "## Seconds\n",
        _table(sizes, lambda values, stage: values[stage]["seconds"], ".1f"),
        "## Peak memory, MB\n",
        "All pages that a stage's processes have in memory at once; in brackets those that no file backs. The others, "
        "of libraries and of shards read through the memory map, are the system's to take back.\n",
        _memory(sizes),
        "## Targets\n",
        _targets(sizes),
        "## At LM1B's size\n",
        _at_full_size(sizes),
    ]
    return "\n".join(parts)


_HEAD = """# The data stages against the size of the corpus

Written by `make bench-scale` from `results/bench/scale.json`; not edited by hand. Each corpus has the layout of LM1B's
archive: sentences of the default profile's corpus, drawn with a seed and with replacement, cleaning and deduplication
off, the published share of test sentences beside the training sentences that are named. Every stage is the DAG's own
command in a process of its own, with start and imports.
"""


def line_through(sizes: Sizes, value: Callable[[dict[str, Any]], float]) -> tuple[float, float]:
    """(a, b) of value = a + b n, through the largest sizes; b = 0 where there is only one."""
    last = sorted(sizes)[-POINTS:]
    if len(last) < 2:
        return value(sizes[last[0]]), 0.0
    slope, constant = np.polyfit(last, [value(sizes[size]) for size in last], 1)
    return float(constant), float(slope)


def _table(sizes: Sizes, value: Callable[[dict[str, Any], str], float], how: str) -> str:
    rows = [f"| sentences | {' | '.join(STAGES)} |", "|--:|" + "--:|" * len(STAGES)]
    for size, values in sizes.items():
        rows.append(f"| {size:,} | " + " | ".join(f"{value(values, stage):{how}}" for stage in STAGES) + " |")
    return "\n".join(rows) + "\n"


def _memory(sizes: Sizes) -> str:
    names = (*STAGES, "loader")
    rows = [f"| sentences | {' | '.join(names)} |", "|--:|" + "--:|" * len(names)]
    for size, values in sizes.items():
        cells = (f"{values[name]['peak_memory_mb']:.0f} ({values[name]['private_memory_mb']:.0f})" for name in names)
        rows.append(f"| {size:,} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def throughput(sizes: Sizes, clock: str) -> tuple[float, float]:
    """Sentences per second of tokenize over those of `encode_batch`, by a clock: of the largest size, start and
    imports with it, and of what the largest size has more than the one before, which has none of them.
    """
    values = sizes[max(sizes)]
    rival = values["encode_batch"]["sentences"] / values["encode_batch"][clock]
    texts, seconds = sum(values["sentences"].values()), values["tokenize"][clock]
    if len(sizes) < 2:
        return texts / seconds / rival, texts / seconds / rival
    before = sizes[sorted(sizes)[-2]]
    more = (texts - sum(before["sentences"].values())) / (seconds - before["tokenize"][clock])
    return texts / seconds / rival, more / rival


def _targets(sizes: Sizes) -> str:
    """Judged by processor time, which other work on the machine disturbs less."""
    values = sizes[max(sizes)]
    loader, counts, tokenize = values["loader"], values["counts"], values["tokenize"]
    whole, more = throughput(sizes, "processor_seconds")
    whole_wall, more_wall = throughput(sizes, "seconds")
    rate = [loader["tokens"] / loader[clock] / 1e6 for clock in ("processor_seconds", "seconds")]
    cost = [1e6 * counts[clock] / counts["tokens"] for clock in ("processor_seconds", "seconds")]
    rows = [
        ("tokenize against `encode_batch`", f"{more:.2f} x", f"{more_wall:.2f} x", ">= 0.9 x", more >= 0.9),
        ("the same, start and imports with it", f"{whole:.2f} x", f"{whole_wall:.2f} x", "", None),
        ("counts, s per million tokens", f"{cost[0]:.4f}", f"{cost[1]:.4f}", "<= 0.02", cost[0] <= 0.02),
        ("loader of batches of 128, M tokens/s", f"{rate[0]:.1f}", f"{rate[1]:.1f}", ">= 5", rate[0] >= 5),
        ("loader, padding", f"{loader['padding']:.1%}", "", "<= 10 %", loader["padding"] <= 0.1),
        (
            "tokenize, peak memory of all its processes",
            f"{tokenize['peak_memory_mb']:,.0f} MB",
            "",
            "<= 2,048 MB",
            tokenize["peak_memory_mb"] <= 2048,
        ),
    ]
    lines = [
        "At the largest size, counts and loader on one core. Rates are judged by processor time, which other work on "
        "the machine disturbs less.\n",
        "| what | value | on the clock | target | |",
        "|---|--:|--:|--:|---|",
    ]
    verdicts = {True: "met", False: "missed", None: ""}
    lines += [f"| {what} | {told} | {wall} | {target} | {verdicts[met]} |" for what, told, wall, target, met in rows]
    return "\n".join(lines) + "\n"


def _at_full_size(sizes: Sizes) -> str:
    last = sorted(sizes)[-POINTS:]
    if len(last) < POINTS or last[-1] < SMALLEST:
        return (
            f"Not extrapolated: the largest size is {last[-1]:,}, and below {SMALLEST:,} start and first buffers tell "
            "more than the corpus. `make bench-scale` goes further.\n"
        )
    lines = [
        f"Extrapolated to {FULL:,} training sentences by the straight line through the sizes "
        f"{' and '.join(f'{size:,}' for size in last)}: not measured.\n",
        "| stage | seconds | minutes | private memory, MB |",
        "|---|--:|--:|--:|",
    ]
    for stage in STAGES:
        seconds = at_full_size(sizes, lambda values, stage=stage: values[stage]["seconds"])
        memory = at_full_size(sizes, lambda values, stage=stage: values[stage]["private_memory_mb"])
        lines.append(f"| {stage} | {seconds:,.0f} | {seconds / 60:,.0f} | {memory:,.0f} |")
    memory = at_full_size(sizes, lambda values: values["loader"]["private_memory_mb"])
    first = at_full_size(sizes, lambda values: values["loader"]["first_batch_seconds"])
    lines.append(f"| loader, first batch | {first:,.1f} | | {memory:,.0f} |")
    disk = [at_full_size(sizes, lambda values, key=key: values[key]) / 1e9 for key in ("text_bytes", "shard_bytes")]
    lines.append(
        f"\nOn disk: {disk[0]:.1f} GB of text and {disk[1]:.1f} GB of token shards, extrapolated in the same way."
    )
    return "\n".join(lines) + "\n"


def at_full_size(sizes: Sizes, value: Callable[..., float]) -> float:
    constant, slope = line_through(sizes, value)
    return constant + slope * FULL


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workflow.bench_scale_page", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args(argv)
    try:
        write(args.page, args.json)
    except (ValueError, OSError) as error:
        print(f"error: bench-scale: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
