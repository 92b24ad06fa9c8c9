"""The texts a command is about: its arguments, a file's lines or those of stdin; and [MASK] in them."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from diffusionbert.commands.opened import Opened
from diffusionbert.commands.pairs import Frame
from diffusionbert.diffusion.sampling import Canvas

Found = TypeVar("Found")
MASK = "[MASK]"  # understood whatever the tokenizer's own mask token is


@dataclass(frozen=True)
class Masked:
    """A text, its row of token ids, None where it has a [MASK], and where of the row no end token can be its own."""

    text: str
    row: list[int | None]
    inner: list[bool]

    @property
    def unknown(self) -> int:
        return self.row.count(None)


def canvas_of(opened: Opened, row: Sequence[int | None], frame: Frame) -> Canvas:
    """A canvas of one row, on which None is unknown, and what stands in the frame before the text is none of it."""
    canvas = opened.arm.vocabulary.blank(torch.tensor([len(row)], device=opened.device))
    for place, token in enumerate(row):
        if token is not None:
            canvas.xt[0, place], canvas.masked[0, place] = token, False
    return replace(canvas, given=torch.tensor([len(frame.before)], device=opened.device)) if frame.before else canvas


def add_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("texts", nargs="*", metavar="TEXT", help=f"{what}; without one, the lines of --file or stdin")
    parser.add_argument("--file", type=Path, help="a UTF-8 file with one text a line")


def texts_of(args: argparse.Namespace) -> list[str]:
    """Every text that the arguments give.

    Raises ValueError when there is none, one is empty, or a file is not UTF-8.
    """
    if args.texts and args.file is not None:
        raise ValueError("texts are given as arguments and by --file; expected one of the two")
    texts, place = (list(args.texts), "text") if args.texts else _lines(args.file)
    if not texts:
        raise ValueError(f"{args.file or 'stdin'}: no text; expected one a line")
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise ValueError(f"{place} {number}: empty; expected some words")
    return texts


def _lines(file: Path | None) -> tuple[list[str], str]:
    """The lines, and how errors call one."""
    name = "stdin" if file is None else str(file)
    if file is None and sys.stdin.isatty():
        raise ValueError("no text; expected one as an argument, in --file, or a line each on stdin")
    try:
        text = sys.stdin.buffer.read().decode("utf-8") if file is None else file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{name}: no such file; expected one with a text a line") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: not UTF-8 at byte {error.start}; expected UTF-8 text") from None
    return text.splitlines(), f"{name}: line"


def numbered(number: int, call: Callable[..., Found], *arguments: Any) -> Found:
    """What a call for one of the texts returns; a ValueError of it names the text."""
    try:
        return call(*arguments)
    except ValueError as error:
        raise ValueError(f"text {number}: {error}") from None


def tokens_of(opened: Opened, text: str) -> list[int]:
    """A text's token ids, a special token that it spells out read as text. Raises ValueError when it has none."""
    ids: list[int] = opened.plain.encode(text.strip(), add_special_tokens=False).ids
    if not ids:
        raise ValueError("no token; expected some words")
    return ids


def num_unread(opened: Opened, tokens: list[int]) -> int:
    """How many of the tokens stand for what the tokenizer cannot read."""
    unknown = opened.tokenizer.unk_token_id
    return 0 if unknown is None else tokens.count(unknown)


def masked_text(opened: Opened, text: str, frame: Frame) -> Masked:
    """A text with a [MASK], or the tokenizer's own mask token, for every token to be filled.

    Raises ValueError when it has none, is longer than the arm holds, or has words that the tokenizer cannot read.
    """
    tokens: list[int | None] = []
    pieces = _mask_pattern(opened).split(text.strip())
    if len(pieces) == 1:
        raise ValueError(f"no {MASK} in '{text}'; expected at least one, each for one token to be filled")
    for number, piece in enumerate(pieces):
        if number:
            tokens.append(None)
        encoded = opened.plain.encode(piece, add_special_tokens=False)
        for token, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
            if num_unread(opened, [token]):
                raise ValueError(
                    f"'{piece[start:end]}' is no text that the tokenizer can read; expected other words, as a given "
                    "one must stay as it is"
                )
            tokens.append(token)
    # what sees no end behind an unknown token would refuse one
    row = frame.around(tokens, ended=not opened.left_to_right)
    check_length(opened, len(row))
    last = max((place for place, token in enumerate(tokens) if token is not None), default=-1)
    goes_on = len(frame.before) + last if frame.filled_to is not None else 0
    return Masked(text, row, [place < goes_on for place in range(len(row))])


def _mask_pattern(opened: Opened) -> re.Pattern[str]:
    """Of [MASK] and of the tokenizer's own; with the space before it where that is part of the next token."""
    tokenizer = opened.tokenizer
    own = tokenizer.mask_token
    spelled = "|".join(re.escape(name) for name in dict.fromkeys([MASK, own or MASK]))
    takes_space = own is None or tokenizer.added_tokens_decoder[tokenizer.mask_token_id].lstrip
    return re.compile(rf"{r'[ ]*' if takes_space else ''}(?:{spelled})")


def check_length(opened: Opened, length: int) -> None:
    """Raises ValueError when a row of so many tokens is too long."""
    if length > opened.arm.max_length:
        raise ValueError(f"{length} tokens; expected at most {opened.arm.max_length}, which is what this arm holds")
