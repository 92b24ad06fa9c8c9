"""What an arm that was trained on pairs has around a text: the source before it, and end tokens behind it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diffusionbert.commands.opened import Opened
from diffusionbert.corpus.special import up_to_end


@dataclass(frozen=True)
class Frame:
    """Of a pair `source, separator, target, end tokens`, all but the target; of any other text nothing."""

    before: list[int]
    end_id: int
    filled_to: int | None = None  # the tokens of a target with the end tokens behind it; None: it has none

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

    def num_scored(self, text: Sequence[int]) -> int:
        """The tokens that a figure per token is per: those of the text and, where ends are learnt, one end."""
        return len(text) + (self.filled_to is not None and len(text) < self.filled_to)


def add_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        metavar="TEXT",
        help="for an arm trained on pairs, which wants one: the source of every text; '' is an empty one",
    )


def frame_of(opened: Opened, source: str | None) -> Frame:
    """The frame of the texts that have this source, cut as in training; before those of an empty one stands nothing.

    Raises ValueError for a source to an arm that has learnt from none, and for none to one that has.
    """
    end_id, pairs = opened.arm.vocabulary.sep_id, opened.pairs
    if pairs is None:
        if source is not None:
            raise ValueError("--source: this arm was trained on texts by themselves; expected none")
        return Frame([], end_id)
    if source is None:
        raise ValueError(
            "--source: found none; expected one, as this arm was trained on pairs; --source '' is an empty one"
        )
    ids: list[int] = opened.plain.encode(source.strip(), add_special_tokens=False).ids
    return Frame([*ids[: pairs.max_source], end_id] if ids else [], end_id, pairs.max_target if pairs.padded else None)


def described(source: str | None) -> dict[str, Any]:
    """What every answer in JSON says of the source, where there is one."""
    return {} if source is None else {"source": source}
