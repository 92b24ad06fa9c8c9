"""python -m diffusionbert check: whether params.yaml is what it must be, before any compute is spent.

And `sum FOLDER`: the sha256 by which params name a folder of one's own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from diffusionbert import config
from diffusionbert.arms.build import check
from diffusionbert.corpus.folders import checked_folder, sha256_of_folder


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m diffusionbert")
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="check params.yaml, every arm's settings included")
    checking.add_argument("--params", type=Path, default=Path("params.yaml"))
    summing = commands.add_parser("sum", help="the sha256 of a tokenizer's or a backbone's folder (source: path)")
    summing.add_argument("folder", type=Path)
    args = parser.parse_args()
    try:
        if args.command == "sum":
            print(_sum(args.folder))
            return 0
        params = config.load(args.params)
        check(params, str(args.params))
        check_folders(params)
    except (ValueError, OSError) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    print(f"{args.params}: profile {params.profile}, {len(params.arms)} arms, all keys known and in range")
    return 0


def check_folders(params: config.Params) -> None:
    """Raises ValueError when a folder that params name by path is missing or has another content."""
    named = {f"tokenizers.{name}": source for name, source in params.tokenizers.items()}
    for key, source in (named | {f"backbones.{name}": source for name, source in params.backbones.items()}).items():
        if source.source == "path":
            assert source.name is not None
            assert source.sha256 is not None
            checked_folder(key, source.name, source.sha256)


def _sum(folder: Path) -> str:
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    return sha256_of_folder(folder)


if __name__ == "__main__":
    sys.exit(main())
