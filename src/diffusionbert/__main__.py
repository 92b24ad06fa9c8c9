"""python -m diffusionbert check: whether params.yaml is what it must be, before any compute is spent."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from diffusionbert import config
from diffusionbert.arms.build import check


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m diffusionbert")
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="check params.yaml, every arm's settings included")
    checking.add_argument("--params", type=Path, default=Path("params.yaml"))
    args = parser.parse_args()
    try:
        params = config.load(args.params)
        check(params)
    except ValueError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    print(f"{args.params}: profile {params.profile}, {len(params.arms)} arms, all keys known and in range")
    return 0


if __name__ == "__main__":
    sys.exit(main())
