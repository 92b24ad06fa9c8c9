"""sum: the sha256 by which params name a folder of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from diffusionbert.corpus.folders import sha256_of_folder


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "sum", help="the sha256 of a tokenizer's or a backbone's folder (source: path)"
    )
    parser.add_argument("folder", type=Path)
    return parser


def run(args: argparse.Namespace) -> None:
    if not args.folder.is_dir():
        raise ValueError(f"{args.folder}: no such folder")
    print(sha256_of_folder(args.folder))
