"""docs/benchmarks.md, written from the JSON of the benchmarks and from nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusionbert.bench.faults import fault_section
from diffusionbert.bench.figures import met, number, verdict
from diffusionbert.files import read_json, write_text

PAGE, CPU, GPU = Path("docs/benchmarks.md"), Path("results/bench/cpu.json"), Path("results/gpu/bench.json")
FAULTS = Path("results/bench/faults.json")
IDLE = 0.5  # load per core above which other work was going on
HEADINGS = {
    "steps": "Training step",
    "mathematics": "Draw, posterior, bound, construction",
    "sampling": "Samplers",
    "throughput": "Throughput",
    "arrays": "Arrays and memory",
    "engines": "Engines",
    "BLEU": "BLEU",
    "steps, freed memory returned": "The same steps where freed memory goes back to the kernel",
}


def write(place: Path, cpu: Path = CPU, gpu: Path = GPU, faults: Path = FAULTS) -> None:
    """Raises ValueError when there is no result of a CPU; those of a GPU and of the faults may be missing."""
    others = [read_json(path) if path.exists() else None for path in (gpu, faults)]
    write_text(place, rendered(read_json(cpu), *others))


def rendered(cpu: dict[str, Any], gpu: dict[str, Any] | None, faults: dict[str, Any] | None = None) -> str:
    """The page's Markdown."""
    parts = [_HEAD, "## CPU\n", *_machine(cpu)]
    parts += ["## GPU\n"]
    parts += (
        _machine(gpu)
        if gpu is not None
        else ["Not run: `python -m diffusionbert.bench --device cuda` writes `results/gpu/bench.json`.\n"]
    )
    parts += fault_section(faults) if faults is not None else []
    return "\n".join(parts)


_HEAD = """# Benchmarks

Written by `make bench` from `results/bench/cpu.json` and `results/gpu/bench.json`; not edited by hand. Both sides of
a ratio take turns in one run, and the median of the rounds' ratios is told; *by processor time* is the same from
processor time, which other work on the machine disturbs less. The bare step is the encoder and head of the same
`transformers` backbone, cross-entropy at the positions ours predicts, backward pass and AdamW, on sentences masked
beforehand; ours is `training.train` itself, with draws, clipping, learning rate and bookkeeping.
"""


def _machine(result: dict[str, Any]) -> list[str]:
    machine = result["machine"]
    told = (
        f"{machine['device']}, {machine['dtype']}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['threads']} threads; torch {machine['torch']}, transformers {machine['transformers']}, "
        f"Python {machine['python']}"
    )
    load = result["load_per_core_before"]
    busy = " The machine was not idle: the verdicts are of a busy one." if load > IDLE else ""
    return [
        f"{result['size']}. {told}. Load per core before the run: {load:.2f}.{busy}\n",
        _summary(result["figures"]),
        *(_part(HEADINGS[name], result["figures"][name]) for name in HEADINGS if name in result["figures"]),
        f"Utilisation: {result['formula']}.\n",
    ]


def _summary(figures: dict[str, list[dict[str, Any]]]) -> str:
    judged = [figure for part in figures.values() for figure in part if met(figure) is not None]
    missed = [figure for figure in judged if not met(figure)]
    lines = [f"{len(judged) - len(missed)} of {len(judged)} targets met."]
    lines += [
        f"- Missed: {figure['what']}: {number(figure['value'], figure['unit'])}, {verdict(figure)}."
        for figure in missed
    ]
    return "\n".join(lines) + "\n"


def _part(heading: str, figures: list[dict[str, Any]]) -> str:
    rows = ["| what | value | by processor time | target | | medians [min, max] | |", "|---|--:|--:|--:|---|---|---|"]
    rows += [_row(figure) for figure in figures]
    return f"### {heading}\n\n" + "\n".join(rows) + "\n"


def _row(figure: dict[str, Any]) -> str:
    target = "" if figure["target"] is None else f"{figure['sense']} {number(figure['target'], figure['unit'])}"
    processor = "" if figure["processor_value"] is None else number(figure["processor_value"], figure["unit"])
    times = "; ".join(
        f"{name} {told['median_ms']:.4g} ms [{told['min_ms']:.4g}, {told['max_ms']:.4g}], {told['repeats']} x"
        for name, told in figure["times"].items()
    )
    cells = [figure["what"], number(figure["value"], figure["unit"]), processor, target, verdict(figure), times]
    return f"| {' | '.join(cells)} | {figure['note']} |"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m diffusionbert.bench.page", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--cpu", type=Path, default=CPU)
    parser.add_argument("--gpu", type=Path, default=GPU)
    parser.add_argument("--faults", type=Path, default=FAULTS)
    args = parser.parse_args(argv)
    try:
        write(args.page, args.cpu, args.gpu, args.faults)
    except (ValueError, OSError) as error:
        print(f"error: bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
