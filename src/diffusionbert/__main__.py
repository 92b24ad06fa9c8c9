"""python -m diffusionbert COMMAND; `--help` names the commands, and each has a `--help` of its own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from diffusionbert.commands import check, generate, infill, score, sums


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(prog="python -m diffusionbert")
    commands = described.add_subparsers(dest="command", required=True)
    for command in (infill, generate, score, check, sums):
        command.add(commands).set_defaults(run=command.run)
    return described


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads us has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
