"""infill: a text with [MASK] in it, filled by a trained arm; the given words stay."""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from typing import Any

import torch

from diffusionbert.commands import opened as arms
from diffusionbert.commands import pairs, sampling, texts
from diffusionbert.commands.opened import Opened
from diffusionbert.commands.pairs import Frame
from diffusionbert.commands.sampling import Settings
from diffusionbert.commands.texts import Masked

ABOUT = (
    "Fills every [MASK] of a text. One [MASK] is one token of the arm's tokenizer, and a word that it splits takes "
    "several: [MASK] [MASK] may come out as one word. Masked arms fill anywhere; an autoregressive one only behind the "
    "given words. A text's fillings follow from the seed and the text, whatever other texts stand beside it."
)


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "infill", help="fill the [MASK]s of a text with a trained arm", description=ABOUT
    )
    texts.add_arguments(parser, "a text with a [MASK] for every token to be filled")
    pairs.add_argument(parser)
    arms.add_arguments(parser)
    sampling.add_arguments(parser, "fillings of every text")
    return parser


def run(args: argparse.Namespace) -> None:
    settings, given = sampling.settings_of(args), texts.texts_of(args)
    opened = arms.opened(args)
    frame = pairs.frame_of(opened, args.source)
    numbers = range(1, len(given) + 1)
    wanted = [
        texts.numbered(number, texts.masked_text, opened, text, frame)
        for number, text in zip(numbers, given, strict=True)
    ]
    rows = []
    for number, masked in zip(numbers, wanted, strict=True):
        rows.append(texts.numbered(number, _filled, opened, settings, masked, frame))
        if not args.json:
            print("\n".join(rows[-1]["fillings"]), flush=True)
    if args.json:
        told = {**opened.described, **pairs.described(args.source), **settings.described, "texts": rows}
        print(json.dumps(told, indent=2, ensure_ascii=False))


def _filled(opened: Opened, settings: Settings, masked: Masked, frame: Frame) -> dict[str, Any]:
    canvas = texts.canvas_of(opened, masked.row, frame)
    if any(masked.inner):
        canvas = replace(canvas, inner=torch.tensor([masked.inner], device=opened.device))
    num_steps = sampling.num_steps_of(opened.arm, canvas, settings)
    tokens = list(sampling.sampled(opened, settings, canvas, frame, num_steps, _key(masked)))
    fillings = [opened.text(row) for row in tokens]
    told = {"text": masked.text, "unknown": masked.unknown, "steps": num_steps}
    return {**told, "fillings": fillings, "tokens": tokens}


def _key(masked: Masked) -> int:
    """What a text's draws are keyed by: the text itself, not its place among others."""
    digest = hashlib.sha256(json.dumps(masked.row).encode()).digest()
    return int.from_bytes(digest[:8], "big")
