"""The console blocks of docs/use.md, written by running their commands: `make use`, after `make run`.

A block is fenced as `console`; a line that starts with `$ ` is a command of this program, and what stands under it, up
to the next one or the fence, is what it printed. A block with a model of a profile that has not been run here stays as
it is.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from diffusionbert.files import write_text

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAM = "python -m diffusionbert "


def commands(document: str) -> list[str]:
    """The commands of all blocks, without `$ `."""
    return [line[2:] for block in BLOCK.finditer(document) for line in block[1].splitlines() if line.startswith("$ ")]


def absent(command: str) -> str | None:
    """The first model folder below results/ that the command names and that is not there."""
    named = [word for word in shlex.split(command) if word.startswith("results/")]
    return next((word for word in named if not Path(word).is_dir()), None)


def rewritten(document: str, answer: Callable[[str], str]) -> str:
    """The document with what `answer` says under each command; a block that needs an absent model stays, told so."""

    def block(found: re.Match[str]) -> str:
        missing = [folder for command in commands(found[0]) if (folder := absent(command)) is not None]
        if missing:
            print(f"use: {missing[0]}: no such model; the examples with it stay as they are", file=sys.stderr)
            return found[0]
        told = [f"$ {command}\n{answer(command)}" for command in commands(found[0])]
        return "```console\n" + "".join(told) + "```"

    return BLOCK.sub(block, document)


def answer_of(command: str) -> str:
    """What a command prints, on both streams. Raises ValueError when it is none of this program's or fails."""
    if not command.startswith(PROGRAM):
        raise ValueError(f"'{command}': expected a command that starts with '{PROGRAM}'")
    arguments = [sys.executable, "-m", "diffusionbert", *shlex.split(command.removeprefix(PROGRAM))]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, encoding="utf-8")
    if done.returncode != 0:
        raise ValueError(f"'{command}': {done.stdout.strip()}")
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m diffusionbert.commands.document", description=__doc__)
    parser.add_argument("--document", type=Path, default=Path("docs/use.md"))
    args = parser.parse_args(argv)
    try:
        write_text(args.document, rewritten(args.document.read_text(encoding="utf-8"), answer_of))
    except (ValueError, OSError) as error:
        print(f"error: use: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
