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
from diffusionbert.commands.reading import lines_of
from diffusionbert.diffusion.sampling import Canvas

Found = TypeVar("Found")
MASK = "[MASK]"  # understood whatever the tokenizer's own mask token is


@dataclass(frozen=True)
class Row:
    """Token ids, None where one is unknown, in their frame; and where of them no end token can be the text's own."""

    tokens: list[int | None]
    frame: Frame
    inner: list[bool] | None = None

    @property
    def unknown(self) -> int:
        return self.tokens.count(None)

    def inside(self, filled: list[int]) -> list[int]:
        """The text of what was made of the row, which may stand beside longer ones."""
        return self.frame.inside(filled[: len(self.tokens)])


def canvas_of(opened: Opened, rows: Sequence[Row]) -> Canvas:
    """A canvas of the rows, on which None is unknown, and what stands in a frame before a text is none of it."""
    device, lengths = opened.device, [len(row.tokens) for row in rows]
    canvas = opened.arm.vocabulary.blank(torch.tensor(lengths, device=device))
    for number, row in enumerate(rows):
        for place, token in enumerate(row.tokens):
            if token is not None:
                canvas.xt[number, place], canvas.masked[number, place] = token, False
    before = [len(row.frame.before) for row in rows]
    given = torch.tensor(before, device=device) if any(before) else None
    inner = torch.zeros_like(canvas.masked)
    for number, row in enumerate(rows):
        if row.inner is not None:
            inner[number, : lengths[number]] = torch.tensor(row.inner, device=device)
    return replace(canvas, given=given, inner=inner if bool(inner.any()) else None)


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
    if file is None and sys.stdin.isatty():
        raise ValueError("no text; expected one as an argument, in --file, or a line each on stdin")
    name = "stdin" if file is None else str(file)
    return lines_of(name, file), f"{name}: line"


def numbered(number: int, call: Callable[..., Found], *arguments: Any) -> Found:
    """What a call for one of the texts returns; a ValueError of it names the text."""
    return named(f"text {number}", call, *arguments)


def named(name: str, call: Callable[..., Found], *arguments: Any) -> Found:
    """What a call returns; a ValueError of it begins with the name."""
    try:
        return call(*arguments)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def tokens_of(opened: Opened, text: str) -> list[int]:
    """A text's token ids, a special token that it spells out read as text. Raises ValueError when it has none."""
    ids: list[int] = opened.plain.encode(text.strip(), add_special_tokens=False).ids
    if not ids:
        raise ValueError("no token; expected some words")
    return ids


def masked_text(opened: Opened, text: str, frame: Frame) -> Row:
    """The row of a text with a [MASK], or the tokenizer's own mask token, for every token to be filled.

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
            if opened.num_unread([token]):
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
    return Row(row, frame, [place < goes_on for place in range(len(row))])


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
