"""generate: texts out of nothing, by a trained arm of any system."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from diffusionbert.commands import opened as arms
from diffusionbert.commands import pairs, sampling, texts
from diffusionbert.commands.pairs import Frame
from diffusionbert.metrics.candidates import choice
from diffusionbert.metrics.sentence_bleu import Counted
from diffusionbert.words import split_words

LENGTH = 32


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "generate",
        help="write texts with a trained arm",
        description="Writes texts of so many tokens, one a line. With an arm trained on pairs: targets of one source, "
        "as long as the arm makes them.",
    )
    pairs.add_argument(parser)
    arms.add_arguments(parser)
    sampling.add_arguments(parser, "texts")
    parser.add_argument("--length", type=int, help=f"tokens of every text (default {LENGTH})")
    parser.add_argument(
        "--mbr", action="store_true", help="of the N texts only the one that the others agree with most, by BLEU"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    settings = sampling.settings_of(args)
    if args.length is not None and args.length < 1:
        raise ValueError(f"--length: found {args.length}; expected at least 1")
    if args.mbr and settings.count < 2:
        raise ValueError(f"--mbr: found -n {settings.count}; expected at least 2 texts to choose among")
    opened = arms.opened(args)
    frame = pairs.frame_of(opened, args.source)
    row = [*frame.before, *[None] * _length(args.length, frame)]
    texts.check_length(opened, len(row))
    canvas = texts.canvas_of(opened, row, frame)
    num_steps = sampling.num_steps_of(opened.arm, canvas, settings)
    written = []
    for tokens in sampling.sampled(opened, settings, canvas, frame, num_steps):
        written.append(opened.text(tokens))
        if not args.json and not args.mbr:
            print(written[-1], flush=True)
    empty = sum(not text.strip() for text in written)
    if empty and frame.filled_to is not None:
        of = f"{empty} of {len(written)} texts {'is' if empty == 1 else 'are'} empty"
        print(f"{of}: the arm ended {'it' if empty == 1 else 'them'} at once", file=sys.stderr)
    chosen = choice([Counted.of(split_words(text)) for text in written]) if args.mbr else None
    if args.json:
        best = {} if chosen is None else {"chosen": chosen}
        told = {
            **pairs.described(args.source),
            **best,
            "length": int(canvas.masked.sum()),
            "steps": num_steps,
            "texts": written,
        }
        print(json.dumps({**opened.described, **settings.described, **told}, indent=2, ensure_ascii=False))
    elif chosen is not None:
        print(written[chosen])


def _length(asked: int | None, frame: Frame) -> int:
    """How many tokens are written, end tokens included."""
    if frame.filled_to is not None and asked is not None:
        raise ValueError(f"--length: found {asked}; expected none, as this arm has learnt where a target ends")
    return frame.filled_to or asked or LENGTH
