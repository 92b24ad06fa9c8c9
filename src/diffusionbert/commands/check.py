"""check: whether params.yaml is what it must be, before any compute is spent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from diffusionbert import config
from diffusionbert.arms.build import check
from diffusionbert.corpus.folders import checked_folder


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "check", help="check params.yaml, every arm's settings included"
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    return parser


def run(args: argparse.Namespace) -> None:
    params = config.load(args.params)
    check(params, str(args.params))
    check_folders(params)
    print(f"{args.params}: profile {params.profile}, {len(params.arms)} arms, all keys known and in range")


def check_folders(params: config.Params) -> None:
    """Raises ValueError when a folder that params name by path is missing or has another content."""
    named = {f"tokenizers.{name}": source for name, source in params.tokenizers.items()}
    for key, source in (named | {f"backbones.{name}": source for name, source in params.backbones.items()}).items():
        if source.source == "path":
            assert source.name is not None
            assert source.sha256 is not None
            checked_folder(key, source.name, source.sha256)
