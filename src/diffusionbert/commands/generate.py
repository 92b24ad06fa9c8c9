"""generate: texts out of nothing, by a trained arm of any system."""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch

from diffusionbert.commands import opened as arms
from diffusionbert.commands import sampling

LENGTH = 32


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "generate",
        help="write texts with a trained arm",
        description="Writes texts of so many tokens, one a line: under its settings those of the sample stage.",
    )
    arms.add_arguments(parser)
    sampling.add_arguments(parser, "texts")
    parser.add_argument("--length", type=int, default=LENGTH, help=f"tokens of every text (default {LENGTH})")
    return parser


def run(args: argparse.Namespace) -> None:
    settings = sampling.settings_of(args)
    if args.length < 1:
        raise ValueError(f"--length: found {args.length}; expected at least 1")
    opened = arms.opened(args)
    if args.length > opened.arm.max_length:
        raise ValueError(f"--length: found {args.length}; expected at most {opened.arm.max_length}, as this arm holds")
    canvas = opened.arm.vocabulary.blank(torch.tensor([args.length], device=opened.device))
    num_steps = sampling.num_steps_of(opened.arm, canvas, settings)
    texts = []
    for tokens in sampling.sampled(opened, settings, canvas, num_steps):
        texts.append(opened.text(tokens))
        if not args.json:
            print(texts[-1], flush=True)
    if args.json:
        told = {"length": args.length, "steps": num_steps, "texts": texts}
        print(json.dumps({**opened.described, **settings.described, **told}, indent=2, ensure_ascii=False))
