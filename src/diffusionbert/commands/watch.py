"""The denoising as it goes, on stderr: redrawn in place on a terminal, a line a step and text elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

import torch
from torch import Tensor

from diffusionbert.commands.opened import Opened
from diffusionbert.commands.pairs import Frame
from diffusionbert.diffusion.sampling import Canvas, State

SECONDS_A_STEP = 0.05  # on a terminal, so that an eye can follow


class Watch:
    """Shows the states of one canvas; what is still unknown stands as a block, or [MASK] where none can be written.

    The rows may have other sources than the frame's; where a text ends is the same of all.
    """

    def __init__(self, opened: Opened, canvas: Canvas, frame: Frame, out: TextIO | None = None) -> None:
        self._opened, self._canvas, self._frame = opened, canvas, frame
        self._out = sys.stderr if out is None else out
        self._drawn = 0  # lines on the terminal that the next state replaces
        self._block = _writable(self._out, "▁", "[MASK]")

        self._draw("start ", canvas.xt)

    def show(self, state: State) -> None:
        self._draw(f"t {state.t:4}", state.xt)

    def _draw(self, moment: str, xt: Tensor) -> None:
        lines = [f"{moment}  {text}" for text in self._texts(xt)]
        if not self._out.isatty():
            print("\n".join(lines), file=self._out, flush=True)
            return
        width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be counted
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        print(up + "\n".join(f"\x1b[2K{line[:width]}" for line in lines), file=self._out, flush=True)
        self._drawn = len(lines)
        time.sleep(SECONDS_A_STEP)

    def _texts(self, xt: Tensor) -> list[str]:
        canvas, special = self._canvas, self._opened.arm.vocabulary
        unknown = canvas.masked & ((xt == special.mask_id) | (xt == special.pad_id))
        begins = torch.zeros_like(canvas.lengths) if canvas.given is None else canvas.given
        rows = zip(xt.tolist(), unknown.tolist(), begins.tolist(), canvas.lengths.tolist(), strict=True)
        return [self._text(tokens[begin:end], hidden[begin:end]) for tokens, hidden, begin, end in rows]

    def _text(self, tokens: list[int], hidden: list[bool]) -> str:
        """The text up to its first end token, and a block for each unknown token, a space around it."""
        pieces, known = [], list[int]()
        for token, unseen in zip(tokens, hidden, strict=True):
            if not unseen:
                if self._frame.is_end(token):
                    break
                known.append(token)
                continue
            pieces += [self._opened.text(known).strip(), self._block]
            known = []
        pieces.append(self._opened.text(known).strip())
        return " ".join(piece for piece in pieces if piece)


def _writable(out: TextIO, wanted: str, otherwise: str) -> str:
    try:
        wanted.encode(out.encoding or "ascii")
    except UnicodeEncodeError:
        return otherwise
    return wanted
