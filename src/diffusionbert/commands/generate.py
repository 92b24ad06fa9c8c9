"""generate: texts out of nothing, by a trained arm of any system."""

from __future__ import annotations

import argparse
import json
from typing import Any

from diffusionbert.commands import opened as arms
from diffusionbert.commands import pairs, sampling, texts
from diffusionbert.commands.pairs import Frame
from diffusionbert.commands.ranges import MOST, check_range
from diffusionbert.commands.reading import as_line
from diffusionbert.commands.texts import Row
from diffusionbert.metrics.candidates import choice
from diffusionbert.metrics.sentence_bleu import Counted
from diffusionbert.words import split_words

LENGTH = 32


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "generate",
        help="write texts with a trained arm",
        description="Writes texts of so many tokens, one a line. With an arm trained on pairs: targets of one source, "
        "or of every source of a file, N lines each in the sources' order, as long as the arm makes them.",
    )
    pairs.add_argument(parser)
    pairs.add_file_argument(parser)
    arms.add_arguments(parser)
    sampling.add_arguments(parser, "texts, of every source")
    parser.add_argument(
        "--length",
        type=int,
        help=f"tokens of every text (default {LENGTH}); refused by an arm that has learnt where a target ends",
    )
    parser.add_argument(
        "--mbr", action="store_true", help="of the N texts only the one that the others agree with most, by BLEU"
    )
    return parser


def run(args: argparse.Namespace) -> None:
    settings = sampling.settings_of(args)
    check_range("--length", args.length, 1, MOST)
    if args.mbr and settings.count < 2:
        raise ValueError(f"--mbr: found -n {settings.count}; expected at least 2 texts to choose among")
    opened = arms.opened(args)
    frames = pairs.frames_of(opened, args.source, args.sources)
    length = _length(args.length, frames[0])
    for number, frame in enumerate(frames, start=1):
        name = f"source {number}" if args.sources else "--length" if frame.source is None else "--source"
        texts.named(name, texts.check_length, opened, len(frame.before) + length)
    num_steps = sampling.num_steps_of(opened.arm, length, settings)
    rows = [Row([*frame.before, *[None] * length], frame) for frame in frames]
    written: list[str] = []
    chosen: list[int] = []
    for tokens in sampling.sampled(opened, settings, rows, num_steps):
        written.append(opened.text(tokens))
        if args.mbr and len(written) % settings.count == 0:
            chosen.append(_choice(written[-settings.count :]))
        if not args.json:
            _print(written, chosen, settings.count, of_all=not args.mbr)
    pairs.tell_of_empty(written, "texts", frames[0])
    if args.json:
        answers = [
            {**frame.described, **best, "texts": written[number * settings.count :][: settings.count]}
            for number, frame in enumerate(frames)
            for best in [{"chosen": chosen[number]} if args.mbr else {}]
        ]
        told = {**opened.described, **settings.described, "length": length, "steps": num_steps}
        print(json.dumps(told | ({"sources": answers} if args.sources else answers[0]), indent=2, ensure_ascii=False))


def _choice(candidates: list[str]) -> int:
    """Which of them the others agree with most."""
    return choice([Counted.of(split_words(text)) for text in candidates])


def _print(written: list[str], chosen: list[int], count: int, *, of_all: bool) -> None:
    """The newest text; or, when it is the last of its source, the chosen one."""
    if of_all:
        print(as_line(written[-1]), flush=True)
    elif len(written) % count == 0:
        print(as_line(written[chosen[-1] - count]), flush=True)


def _length(asked: int | None, frame: Frame) -> int:
    """How many tokens are written, end tokens included."""
    if frame.filled_to is not None and asked is not None:
        raise ValueError(f"--length: found {asked}; expected none, as this arm has learnt where a target ends")
    return frame.filled_to or asked or LENGTH
