"""infill: a text with [MASK] in it, filled by a trained arm; the given words stay."""

from __future__ import annotations

import argparse
import hashlib
import json
from typing import Any

from diffusionbert.commands import opened as arms
from diffusionbert.commands import pairs, sampling, texts
from diffusionbert.commands.opened import Opened
from diffusionbert.commands.reading import as_line
from diffusionbert.commands.sampling import Settings
from diffusionbert.commands.texts import Row

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
    arms.add_arguments(parser, filling=True)
    sampling.add_arguments(parser, "fillings of every text")
    return parser


def run(args: argparse.Namespace) -> None:
    settings, given = sampling.settings_of(args), texts.texts_of(args)
    opened = arms.opened(args, filling=True)
    frame = pairs.frame_of(opened, args.source)
    numbers = range(1, len(given) + 1)
    wanted = [
        texts.numbered(number, texts.masked_text, opened, text, frame)
        for number, text in zip(numbers, given, strict=True)
    ]
    told = []
    for number, text, row in zip(numbers, given, wanted, strict=True):
        told.append({"text": text, **texts.numbered(number, _filled, opened, settings, row)})
        if not args.json:
            print("\n".join(map(as_line, told[-1]["fillings"])), flush=True)
    pairs.tell_of_empty([filling for each in told for filling in each["fillings"]], "fillings", frame)
    if args.json:
        about = {**opened.described, **frame.described, **settings.described}
        print(json.dumps({**about, "texts": told}, indent=2, ensure_ascii=False))


def _filled(opened: Opened, settings: Settings, row: Row) -> dict[str, Any]:
    num_steps = sampling.num_steps_of(opened.arm, row.unknown, settings)
    tokens = list(sampling.sampled(opened, settings, [row], num_steps, _key(row)))
    fillings = [opened.text(each) for each in tokens]
    return {"unknown": row.unknown, "steps": num_steps, "fillings": fillings, "tokens": tokens}


def _key(row: Row) -> int:
    """What a text's draws are keyed by: the text itself, not its place among others."""
    digest = hashlib.sha256(json.dumps(row.tokens).encode()).digest()
    return int.from_bytes(digest[:8], "big")
