"""Killed at any moment or asked to stop, does a run go on to the same bits?"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from diffusionbert import checkpoint as room
from diffusionbert.arms.base import Draw, Loss
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.corpus.batches import Batch, Stream
from diffusionbert.corpus.shards import Shards
from diffusionbert.stages.processes import stopping_on_sigterm
from diffusionbert.training import History, StoppedError, train
from unit.small_arms import LINEAR, small_arm
from unit.test_training import SETTINGS

RUN = replace(SETTINGS, ema_decay=0.9)  # twelve steps, with dropout; a checkpoint every three, a validation every six


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


def _run(arm: Any, shards: Shards, folder: Path, *, asked: Callable[[], bool] = lambda: False) -> History:
    return train(
        arm,
        Stream(shards["train"], RUN.batch_size, 0, shards.special.pad_id),
        RUN,
        seed=0,
        device=torch.device("cpu"),
        autocast=nullcontext,
        checkpoint=Checkpoint(folder, "k"),
        validate=lambda: {
            "nats_per_sentence": float(sum(weight.detach().double().sum() for weight in arm.module.parameters()))
        },
        log=lambda values, step: None,
        label="test",
        asked_to_stop=asked,
    )


def _same(ours: Any, theirs: Any) -> bool:
    pairs = zip(ours.module.state_dict().values(), theirs.module.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def _in_a_process_killed(at_write: int | None, at_loss: int | None, run: Callable[[Any], None], arm: Any) -> int:
    """The status of a child that kills itself with SIGKILL at that write of a checkpoint or that loss, if any."""
    child = os.fork()
    if child > 0:
        return os.waitpid(child, 0)[1]
    try:
        write, loss = room._Summing.write, arm.loss
        calls = {"write": 0, "loss": 0}

        def counted(kind: str, limit: int | None) -> None:
            calls[kind] += 1
            if calls[kind] == limit:
                os.kill(os.getpid(), signal.SIGKILL)

        def dying_write(self: Any, data: bytes) -> int:
            counted("write", at_write)
            return write(self, data)

        def dying_loss(batch: Batch, draw: Draw) -> Loss:
            counted("loss", at_loss)
            found: Loss = loss(batch, draw)
            return found

        room._Summing.write = dying_write  # type: ignore[method-assign]
        arm.loss = dying_loss
        run(arm)
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_random_moments_ends_as_if_it_was_not(shards: Shards, tmp_path: Path, seed: int) -> None:
    """SIGKILL at random steps and in the middle of random writes, then a last start that is left alone."""
    draws, folder = random.Random(seed), tmp_path / "killed"
    whole = small_arm(shards, LINEAR)
    told = _run(whole, shards, tmp_path / "whole")
    in_a_write = 0

    def run(arm: Any) -> None:
        _run(arm, shards, folder)

    for turn in range(6):
        at_write, at_loss = (draws.randrange(1, 40), None) if turn % 2 else (None, draws.randrange(1, 6))
        status = _in_a_process_killed(at_write, at_loss, run, small_arm(shards, LINEAR))
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        in_a_write += len(list(folder.glob(".*.part")))
    assert in_a_write > 0
    last = small_arm(shards, LINEAR)
    assert _run(last, shards, folder) == told
    assert _same(last, whole)
    assert not list(folder.glob(".*.part"))


@pytest.mark.parametrize("at", [1, 4, 6, 11])
def test_sigterm_writes_the_state_and_the_run_goes_on_to_the_same_bits(shards: Shards, tmp_path: Path, at: int) -> None:
    whole, stopped, resumed = (small_arm(shards, LINEAR) for _ in range(3))
    told = _run(whole, shards, tmp_path / "whole")
    loss, calls = stopped.loss, iter(range(100))

    def asking(batch: Batch, draw: Draw) -> Loss:
        if next(calls) == at - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(batch, draw)

    stopped.loss = asking  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGTERM)
    with stopping_on_sigterm() as asked, pytest.raises(StoppedError) as error:
        _run(stopped, shards, tmp_path / "stopped", asked=asked)
    assert error.value.step == at
    assert signal.getsignal(signal.SIGTERM) == before
    assert _run(resumed, shards, tmp_path / "stopped") == told
    assert _same(resumed, whole)


def test_sigterm_in_the_last_step_changes_nothing(shards: Shards, tmp_path: Path) -> None:
    calls = iter(range(100))
    told = _run(small_arm(shards, LINEAR), shards, tmp_path / "whole")
    asked = _run(small_arm(shards, LINEAR), shards, tmp_path / "asked", asked=lambda: next(calls) >= RUN.steps - 1)
    assert told == asked


def test_a_state_of_two_processes_goes_on_in_one(
    shards: Shards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = iter(range(100))
    with pytest.raises(StoppedError):
        _run(small_arm(shards, LINEAR), shards, tmp_path, asked=lambda: next(calls) >= 5)
    checkpoint = Checkpoint(tmp_path, "k")
    state = checkpoint.read()
    assert state is not None
    checkpoint.write(state | {"random": state["random"] * 2})
    capsys.readouterr()
    history = _run(small_arm(shards, LINEAR), shards, tmp_path)
    assert history.losses[-1]["step"] == RUN.steps
    told = "2 processes wrote this state and 1 continue it: dropout is drawn anew"
    assert capsys.readouterr().err.splitlines() == ["test: resuming from step 6", told]
