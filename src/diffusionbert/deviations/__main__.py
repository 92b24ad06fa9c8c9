"""`make deviations`: measures every entry of docs/deviations.md and writes its blocks.

Entries on pairs stand on a second run, of a corpus of pairs. Where it is not there they keep what was measured before,
and stderr says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch

from diffusionbert.config import load
from diffusionbert.deviations.catalogue import ENTRIES
from diffusionbert.deviations.document import read_measured, written
from diffusionbert.deviations.figures import Entry, GroundT, as_json
from diffusionbert.deviations.ground import Effort, Ground
from diffusionbert.deviations.pair_catalogue import PAIR_ENTRIES
from diffusionbert.deviations.pair_ground import PARAMS, PairGround, lacks
from diffusionbert.files import write_json, write_text
from diffusionbert.stages.compute import Machine

DOCUMENT = Path("docs/deviations.md")


def measure(ground: GroundT, entries: Sequence[Entry[GroundT]], out: Path) -> None:
    """One JSON for each entry, written as soon as it is measured."""
    for entry in entries:
        print(f"deviations: {entry.key}", file=sys.stderr, flush=True)
        torch.manual_seed(ground.seed)  # an entry measured alone gives what it gives among the others
        figures = entry.measure(ground)
        write_json(
            out / f"{entry.key}.json",
            {
                "figures": as_json(figures),
                "machine": ground.machine.described,
                "profile": ground.params.profile,
                "seed": ground.seed,
            },
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Raises nothing for bad input: one line on stderr and status 1."""
    parser = argparse.ArgumentParser(prog="python -m diffusionbert.deviations", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("profiles/default.yaml"))
    parser.add_argument("--results", type=Path, default=Path("results/default"))
    parser.add_argument("--pairs-results", type=Path, default=Path("results/pairs"))
    parser.add_argument("--out", type=Path, default=Path("results/deviations"))
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--only", default=None, help="entries to measure, by marker, separated by commas")
    parser.add_argument("--write-only", action="store_true", help="measure nothing, write the document's blocks")
    for field in fields(Effort):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    args = parser.parse_args(argv)
    try:
        for field in fields(Effort):
            if getattr(args, field.name) < 2:  # one of anything has no spread
                flag = f"--{field.name.replace('_', '-')}"
                raise ValueError(f"{flag}: found {getattr(args, field.name)}; expected at least 2")
        if not args.write_only:
            _measure(args)
        text = args.document.read_text(encoding="utf-8")
        write_text(args.document, written(text, read_measured(args.out)))
    except (ValueError, OSError) as error:
        print(f"error: deviations: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(args: argparse.Namespace) -> None:
    """Every entry, or those that `--only` names, each on its run."""
    chosen = _chosen(args.only)
    effort = Effort(**{field.name: getattr(args, field.name) for field in fields(Effort)})
    if of_sentences := [entry for entry in ENTRIES if entry.key in chosen]:
        params = load(args.params)
        measure(Ground(params, args.results, Machine.prepare(params.runtime), effort), of_sentences, args.out)
    if not (on_pairs := [entry for entry in PAIR_ENTRIES if entry.key in chosen]):
        return
    lacking = lacks(args.pairs_results)
    if lacking is None:
        params = load(args.pairs_results / PARAMS)
        ground = PairGround(params, args.pairs_results, Machine.prepare(params.runtime), effort)
        measure(ground, on_pairs, args.out)
        return
    told = f"{lacking}: no such file; expected a finished run of the profile pairs"
    if args.only is not None:
        raise ValueError(told)
    kept = ", ".join(entry.key for entry in on_pairs)
    print(f"deviations: {told}; these keep what was measured before: {kept}", file=sys.stderr, flush=True)


def _chosen(only: str | None) -> Sequence[str]:
    """The markers that are asked for. Raises ValueError for one that is none."""
    known = [entry.key for entry in ENTRIES] + [entry.key for entry in PAIR_ENTRIES]
    if only is None:
        return known
    if strange := [key for key in only.split(",") if key not in known]:
        raise ValueError(f"--only: found {', '.join(strange)}; expected some of {', '.join(known)}")
    return only.split(",")


if __name__ == "__main__":
    sys.exit(main())
