"""What is shown of the denoising: in place on a terminal, and in letters where no block can be written."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from diffusionbert.arms.build import saved_arm
from diffusionbert.commands import watch
from diffusionbert.commands.opened import Opened
from diffusionbert.commands.pairs import Frame
from diffusionbert.corpus.tokenizers import saved_tokenizer
from diffusionbert.diffusion.sampling import State


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


@pytest.fixture
def linear(folders: dict[str, Path]) -> Opened:
    folder = folders["linear"]
    return Opened(saved_arm(folder), "absorbing", folder, saved_tokenizer(folder), torch.device("cpu"))


def test_a_terminal_is_redrawn_in_lines_that_do_not_wrap(linear: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SECONDS_A_STEP", 0.0)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((20, 24)))
    canvas, out = linear.arm.vocabulary.blank(torch.tensor([12, 3])), Terminal()
    shown = watch.Watch(linear, canvas, Frame([], 0), out)
    shown.show(State(8, canvas.xt, 1))
    first, second = out.getvalue().split("\x1b[2A")
    for drawn in (first, second):
        lines = drawn.splitlines()
        assert len(lines) == 2
        assert all(line.startswith("\x1b[2K") and len(line) <= 4 + 19 for line in lines)
    assert "start   ▁ ▁ ▁ ▁" in first
    assert "t    8  ▁ ▁ ▁" in second


def test_where_no_block_can_be_written_a_mask_is_named(linear: Opened) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    watch.Watch(linear, linear.arm.vocabulary.blank(torch.tensor([2])), Frame([], 0), out)
    out.seek(0)
    assert out.read() == "start   [MASK] [MASK]\n"


def test_the_source_and_what_is_behind_the_end_are_not_drawn(linear: Opened) -> None:
    special, out = linear.arm.vocabulary, Terminal()
    word, end = int(special.candidates.nonzero()[0, 0]), special.sep_id
    canvas = linear.arm.vocabulary.blank(torch.tensor([6]))
    canvas.xt[0, :2], canvas.masked[0, :2] = torch.tensor([word, end]), False
    canvas = replace(canvas, given=torch.tensor([2]))
    shown = watch.Watch(linear, canvas, Frame([word, end], end, 4), out)
    text = linear.text([word]).strip()
    shown.show(State(8, torch.tensor([[word, end, word, special.mask_id, end, special.mask_id]]), 1))
    first, second = out.getvalue().split("\x1b[1A")
    assert first.strip() == "\x1b[2Kstart   ▁ ▁ ▁ ▁"
    assert second.strip() == f"\x1b[2Kt    8  {text} ▁"
