"""docs/scale-data.md and its drawing, written from results/bench/scale.json and from nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from workflow.bench_scale_plot import drawing

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
    machine, largest = told["machine"], sizes[max(sizes)]
    loads = ", ".join(str(values["load_per_core_before"]) for values in sizes.values())
    parts = [
        _HEAD,
        f"{machine['processor']}, {machine['cores']} cores, {told['workers']} workers; Python {machine['python']}. "
        f"Load per core before each size: {loads}.\n",
        f"![Seconds and memory against sentences]({picture})\n",
        "## Seconds\n",
        _table(sizes, lambda values, stage: values[stage]["seconds"], ".1f"),
        "## Peak memory, MB\n",
        "All pages that a stage's processes have in memory; in brackets those that no file backs, which is what a "
        "machine must have.\n",
        _memory(sizes),
        "## Targets\n",
        _targets(largest),
        "## At LM1B's size\n",
        _at_full_size(sizes),
    ]
    return "\n".join(parts)


_HEAD = """# The data stages against the size of the corpus

Written by `make bench-scale` from `results/bench/scale.json`; not edited by hand. Each corpus has the layout of LM1B's
archive: sentences of the default profile's corpus, drawn with a seed and with replacement, cleaning and deduplication
off, the published share of test sentences beside the training sentences that are named. Every stage is the DAG's own
command in a process of its own, with start and imports. The archive's sentences are drawn from 75 thousand, so that
words repeat sooner than in LM1B; no stage gains from it.
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


def rates(values: dict[str, Any]) -> dict[str, float]:
    """The targets' figures at one size."""
    texts = sum(values["sentences"].values())
    rival = values["encode_batch"]
    return {
        "encode_batch": (texts / values["tokenize"]["seconds"]) / (rival["sentences"] / rival["seconds"]),
        "encode_batch, by processor time": (texts / values["tokenize"]["processor_seconds"])
        / (rival["sentences"] / rival["processor_seconds"]),
        "tokens per second": values["loader"]["tokens"] / values["loader"]["seconds"],
        "tokens per processor second": values["loader"]["tokens"] / values["loader"]["processor_seconds"],
        "padding": values["loader"]["padding"],
        "seconds per million tokens": 1e6 * values["counts"]["seconds"] / values["counts"]["tokens"],
        "processor seconds per million tokens": 1e6
        * values["counts"]["processor_seconds"]
        / values["counts"]["tokens"],
        "private memory": values["tokenize"]["private_memory_mb"],
        "peak memory": values["tokenize"]["peak_memory_mb"],
    }


def _targets(values: dict[str, Any]) -> str:
    found = rates(values)
    rows = [
        (
            "tokenize, throughput against `encode_batch`",
            found["encode_batch"],
            f"{found['encode_batch']:.2f} x; {found['encode_batch, by processor time']:.2f} x by processor time",
            ">= 0.9 x",
            found["encode_batch"] >= 0.9,
        ),
        (
            "tokenize, peak memory",
            found["peak memory"],
            f"{found['peak memory']:.0f} MB, {found['private memory']:.0f} private",
            "<= 2,048 MB",
            found["peak memory"] <= 2048,
        ),
        (
            "counts, one core",
            found["seconds per million tokens"],
            f"{found['seconds per million tokens']:.4f} s per million tokens; "
            f"{found['processor seconds per million tokens']:.4f} by processor time",
            "<= 0.02 s",
            found["seconds per million tokens"] <= 0.02,
        ),
        (
            "loader, one core, batches of 128",
            found["tokens per second"],
            f"{found['tokens per second'] / 1e6:.1f} M tokens/s; "
            f"{found['tokens per processor second'] / 1e6:.1f} M by processor time",
            ">= 5 M tokens/s",
            found["tokens per second"] >= 5e6,
        ),
        ("loader, padding", found["padding"], f"{found['padding']:.1%}", "<= 10 %", found["padding"] <= 0.1),
    ]
    lines = ["At the largest size.\n", "| what | value | target | |", "|---|--:|--:|---|"]
    lines += [f"| {what} | {told} | {target} | {'met' if met else 'missed'} |" for what, _, told, target, met in rows]
    return "\n".join(lines) + "\n"


def _at_full_size(sizes: Sizes) -> str:
    last = sorted(sizes)[-POINTS:]
    lines = [
        f"Extrapolated to {FULL:,} training sentences by the straight line through the sizes "
        f"{' and '.join(f'{size:,}' for size in last)}: not measured.\n",
        "| stage | seconds | minutes | private memory, MB |",
        "|---|--:|--:|--:|",
    ]
    for stage in STAGES:
        seconds = _at(sizes, lambda values, stage=stage: values[stage]["seconds"])
        memory = _at(sizes, lambda values, stage=stage: values[stage]["private_memory_mb"])
        lines.append(f"| {stage} | {seconds:,.0f} | {seconds / 60:,.0f} | {memory:,.0f} |")
    memory = _at(sizes, lambda values: values["loader"]["private_memory_mb"])
    first = _at(sizes, lambda values: values["loader"]["first_batch_seconds"])
    lines.append(f"| loader, first batch | {first:,.1f} | | {memory:,.0f} |")
    disk = [_at(sizes, lambda values, key=key: values[key]) / 1e9 for key in ("text_bytes", "shard_bytes")]
    lines.append(
        f"\nOn disk: {disk[0]:.1f} GB of text and {disk[1]:.1f} GB of token shards, extrapolated in the same way."
    )
    return "\n".join(lines) + "\n"


def _at(sizes: Sizes, value: Callable[..., float]) -> float:
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
