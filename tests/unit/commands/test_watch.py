"""What is shown of the denoising: in place on a terminal, and in letters where no block can be written."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest
import torch

from diffusionbert.arms.build import saved_arm
from diffusionbert.commands import watch
from diffusionbert.commands.opened import Opened
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
    shown = watch.Watch(linear, canvas, out)
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
    watch.Watch(linear, linear.arm.vocabulary.blank(torch.tensor([2])), out)
    out.seek(0)
    assert out.read() == "start   [MASK] [MASK]\n"
