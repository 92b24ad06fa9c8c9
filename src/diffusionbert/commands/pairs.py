"""What an arm that was trained on pairs has around a text: the source before it, and end tokens behind it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diffusionbert.commands.opened import Opened
from diffusionbert.commands.reading import lines_of
from diffusionbert.corpus.pair_encoding import PairRows
from diffusionbert.corpus.special import up_to_end


@dataclass(frozen=True)
class Source:
    """A source as the arm hears it: its text, the tokens that it reads of it, and those that it does not."""

    text: str
    num_tokens: int
    num_unread: int  # of them, those that stand for what the tokenizer cannot read
    num_cut: int  # tokens behind them, cut off as in training

    @property
    def described(self) -> dict[str, Any]:
        """What every answer in JSON says of it."""
        counts = {"tokens": self.num_tokens, "tokens_unread": self.num_unread, "tokens_cut": self.num_cut}
        return {"source": self.text, **{f"source_{name}": number for name, number in counts.items()}}


@dataclass(frozen=True)
class Frame:
    """Of a pair `source, separator, target, end tokens`, all but the target; of any other text nothing."""

    before: list[int]
    end_id: int
    filled_to: int | None = None  # the tokens of a target with the end tokens behind it; None: it has none
    source: Source | None = None

    def around(self, text: Sequence[Any], *, ended: bool = True) -> list[Any]:
        """The row of a text, of which a token may be unknown, with the end tokens behind it unless `ended` is False.

        Raises ValueError when it is longer than targets are.
        """
        if self.filled_to is None:
            return [*self.before, *text]
        if len(text) > self.filled_to:
            raise ValueError(f"{len(text)} tokens; expected at most {self.filled_to}, as the targets that the arm saw")
        return [*self.before, *text, *[self.end_id] * (self.filled_to - len(text) if ended else 0)]

    def is_end(self, token: int) -> bool:
        return self.filled_to is not None and token == self.end_id

    def inside(self, row: list[int]) -> list[int]:
        """The text of a row, up to its first end token."""
        return up_to_end(row[len(self.before) :], None if self.filled_to is None else self.end_id)

    @property
    def described(self) -> dict[str, Any]:
        """What an answer in JSON says of the source, where there is one."""
        return {} if self.source is None else self.source.described

    def num_scored(self, text: Sequence[int]) -> int:
        """The tokens that a figure per token is per: those of the text and, where ends are learnt, one end."""
        return len(text) + (self.filled_to is not None and len(text) < self.filled_to)


def add_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        metavar="TEXT",
        help="for an arm trained on pairs, which wants one: the source of every text; '' is an empty one",
    )


def add_file_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sources",
        metavar="FILE",
        help="instead of --source: a UTF-8 file with a source a line, '-' for stdin; an empty line is an empty source",
    )


def frame_of(opened: Opened, source: str | None) -> Frame:
    """The frame of the texts that have this source.

    Raises ValueError for a source to an arm that has learnt from none, and for none to one that has.
    """
    if opened.pairs is None:
        if source is not None:
            raise ValueError("--source: this arm was trained on texts by themselves; expected none")
        return Frame([], opened.arm.vocabulary.sep_id)
    if source is None:
        raise ValueError(
            "--source: found none; expected one, as this arm was trained on pairs; --source '' is an empty one"
        )
    return _framed(opened, opened.pairs, source, "source")


def frames_of(opened: Opened, source: str | None, file: str | None) -> list[Frame]:
    """The frames of every source of a file, in their order, or else that of the one source.

    Raises ValueError for both, for sources to an arm that has learnt from none, and for a file that is none.
    """
    if file is None:
        return [frame_of(opened, source)]
    if source is not None:
        raise ValueError("sources are given by --source and by --sources; expected one of the two")
    if opened.pairs is None:
        raise ValueError("--sources: this arm was trained on texts by themselves; expected none")
    return [_framed(opened, opened.pairs, line, f"source {n}") for n, line in enumerate(sources_of(file), start=1)]


def sources_of(file: str) -> list[str]:
    """The lines of a file of sources, or of stdin. Raises ValueError when there is none."""
    sources = lines_of("stdin" if file == "-" else file, None if file == "-" else file)
    if not sources:
        raise ValueError(f"{file}: no source; expected one a line")
    return sources


def _framed(opened: Opened, rows: PairRows, source: str, name: str) -> Frame:
    """A source cut as in training, and told of where the arm does not hear all of it.

    Before the texts of an empty one stands nothing.
    """
    end_id = opened.arm.vocabulary.sep_id
    ids: list[int] = opened.plain.encode(source.strip(), add_special_tokens=False).ids
    cut = ids[: rows.max_source]
    if told := opened.unread(cut):
        print(f"{name}: {told}", file=sys.stderr)
    if len(cut) < len(ids):
        print(f"{name}: cut to the first {len(cut)} of {len(ids)} tokens, as in training", file=sys.stderr)
    heard = Source(source, len(cut), opened.num_unread(cut), len(ids) - len(cut))
    return Frame([*cut, end_id] if cut else [], end_id, rows.max_target if rows.padded else None, heard)


def tell_of_empty(texts: Sequence[str], what: str, frame: Frame) -> None:
    """Tells how many of the texts are empty, where the arm decides the length."""
    empty = sum(not text.strip() for text in texts)
    if empty and frame.filled_to is not None:
        verb, them = ("is", "it") if empty == 1 else ("are", "them")
        print(f"{empty} of {len(texts)} {what} {verb} empty: the arm ended {them} at once", file=sys.stderr)
