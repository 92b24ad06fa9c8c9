"""`python -m diffusionbert.bench`: what our code costs beside the plain masked-LM work it is built on.

Needs torch, transformers and numpy, nothing else; sentences are made up where no data is given.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from diffusionbert.bench import machine, sentences, throughput
from diffusionbert.bench.measurement import PARTS, Request, line, measured
from diffusionbert.bench.subjects import SIZES, attention
from diffusionbert.files import write_json


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        request = _request(args)  # which also settles where the result goes
        write_json(args.out, result(request))
    except (ValueError, OSError) as error:
        print(f"error: bench: {error}", file=sys.stderr)
        return 1
    print(f"written: {args.out}")
    return 0


def result(request: Request) -> dict[str, Any]:
    """The JSON of one run; prints its figures."""
    load = machine.load_share()
    found = {part: [figure.plain() for figure in figures] for part, figures in measured(request).items()}
    for figures in found.values():
        for figure in figures:
            print(line(figure))
    return {
        "machine": machine.described(request.device, "bfloat16" if request.bfloat16 else "float32"),
        "load_per_core_before": load,
        "size": f"{request.size.described}, {attention(request.size)} attention",
        "formula": throughput.FORMULA,
        "figures": found,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m diffusionbert.bench", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--size", choices=sorted(SIZES), help="default: tiny on a CPU, base on a GPU")
    parser.add_argument("--batch", type=int, help="sentences in a batch; default: the size's own")
    parser.add_argument("--logits-budget-mb", type=int, help="of logits held at one time; default: the size's own")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, help="CPU threads; default: torch's choice, all cores")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: bfloat16 on a GPU, else float32")
    parser.add_argument("--no-compile", action="store_true", help="on a GPU, leave torch.compile out")
    parser.add_argument("--data", type=Path, help=".npz with `tokens` (all ids in a row) and `lengths`")
    parser.add_argument("--out", type=Path, help="default: results/bench/cpu.json or results/gpu/bench.json")
    return parser


def _request(args: argparse.Namespace) -> Request:
    """Raises ValueError for a device that is not there or a number that makes no sense."""
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device: found 'cuda', and torch sees no GPU; expected 'cpu' here")
    for name in ("batch", "repeats", "threads", "logits_budget_mb"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')}: found {value}; expected at least 1")
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    on_gpu = args.device == "cuda"
    size = SIZES[args.size or ("base" if on_gpu else "tiny")]
    budget = args.logits_budget_mb or size.logits_budget_mb
    size = replace(size, batch=args.batch or size.batch, logits_budget_mb=budget)
    args.out = args.out or Path("results/gpu/bench.json" if on_gpu else "results/bench/cpu.json")
    found = sentences.like_news(size, 200 * size.batch) if args.data is None else sentences.read(args.data, size)
    return Request(
        size=size,
        device=torch.device(args.device),
        bfloat16=(args.dtype or ("bfloat16" if on_gpu else "float32")) == "bfloat16",
        repeats=args.repeats,
        parts=args.parts,
        sentences=found,
        compile=on_gpu and not args.no_compile,
    )


if __name__ == "__main__":
    sys.exit(main())
