from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from diffusionbert.arms.base import Draw, Loss
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.corpus.batches import Batch, Stream
from diffusionbert.corpus.shards import Shards
from diffusionbert.training import History, Settings, draw_for, rate_multiplier, train
from unit.small_arms import LINEAR, SPINDLE, small_arm

SETTINGS = Settings(
    steps=12,
    batch_size=4,
    learning_rate=1e-3,
    lr_warmup_steps=2,
    lr_decay="linear",
    weight_decay=0.01,
    grad_clip=1.0,
    warmup=0,
    log_every=5,
    valid_every=6,
    valid_sentences=4,
    valid_strata=2,
    checkpoint_every=3,
)


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


def _no_scores() -> dict[str, float]:
    return {"nats_per_sentence": 1.0}


def _run(
    arm: Any,
    shards: Shards,
    folder: Path,
    settings: Settings = SETTINGS,
    key: str = "k",
    validate: Callable[[], dict[str, float]] = _no_scores,
) -> History:
    return train(
        arm,
        Stream(shards["train"], settings.batch_size, 0, shards.special.pad_id),
        settings,
        seed=0,
        device=torch.device("cpu"),
        autocast=nullcontext,
        checkpoint=Checkpoint(folder, key),
        validate=validate,
        log=lambda values, step: None,
        label="test",
    )


class _KilledError(Exception):
    pass


def _dying(arm: Any, at: int) -> Callable[[Batch, Draw], Loss]:
    calls, whole = 0, arm.loss

    def loss(batch: Batch, draw: Draw) -> Loss:
        nonlocal calls
        calls += 1
        if calls > at:
            raise _KilledError
        result: Loss = whole(batch, draw)
        return result

    return loss


@pytest.mark.parametrize("settings", [LINEAR, SPINDLE], ids=["linear", "spindle"])
@pytest.mark.parametrize("at", [2, 4, 11])
def test_a_killed_run_resumes_to_the_same_bits(shards: Shards, tmp_path: Path, settings: Any, at: int) -> None:
    """With dropout on, so that torch's random state must come back too."""
    whole = small_arm(shards, settings)
    told = _run(whole, shards, tmp_path / "whole")
    killed = small_arm(shards, settings)
    killed.loss = _dying(killed, at)  # type: ignore[method-assign]
    with pytest.raises(_KilledError):
        _run(killed, shards, tmp_path / "killed")
    resumed = small_arm(shards, settings, seed=99)  # its own weights must not matter
    if at < SETTINGS.checkpoint_every:
        resumed = small_arm(shards, settings)
    torch.manual_seed(123)
    history = _run(resumed, shards, tmp_path / "killed")
    assert history == told
    for ours, theirs in zip(resumed.module.parameters(), whole.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_training_lowers_the_loss(shards: Shards, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=60, batch_size=16, learning_rate=5e-3, log_every=10)
    losses = [row["loss_nats_per_token"] for row in _run(small_arm(shards, LINEAR), shards, tmp_path, settings).losses]
    assert losses[-1] < losses[0] - 0.3


def test_a_loss_that_is_not_finite_names_step_and_sentences(shards: Shards, tmp_path: Path) -> None:
    arm = small_arm(shards, LINEAR)
    whole, calls = arm.loss, iter(range(100))

    def loss(batch: Batch, draw: Draw) -> Loss:
        found = whole(batch, draw)
        return replace(found, total=found.total * (float("nan") if next(calls) == 4 else 1.0))

    arm.loss = loss  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"the loss is nan at step 4, batch of train sentences \d+"):
        _run(arm, shards, tmp_path)
    assert Checkpoint(tmp_path, "k").read() is not None


def test_a_checkpoint_of_other_settings_is_refused(shards: Shards, tmp_path: Path) -> None:
    Checkpoint(tmp_path, "theirs").write({"step": 1})
    with pytest.raises(ValueError, match="made under other settings"):
        _run(small_arm(shards, LINEAR), shards, tmp_path, key="ours")


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    checkpoint = Checkpoint(tmp_path, "k")
    checkpoint.write({"step": 3, "weights": torch.arange(1000.0)})
    data = bytearray(checkpoint.paths[0].read_bytes())
    middle = len(data) // 2
    data = data[:middle] if damage == "cut" else data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    checkpoint.paths[0].write_bytes(bytes(data))
    with pytest.raises(ValueError, match="damaged checkpoint"):
        checkpoint.read()


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path, "k")
    checkpoint.write({"step": 1})

    def full(self: Any, data: bytes) -> int:
        self.file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diffusionbert.checkpoint._Summing.write", full)
    with pytest.raises(
        OSError, match=r"step-000000002\.pt: could not be written \(No space left.* what it held is kept"
    ):
        checkpoint.write({"step": 2})
    assert checkpoint.read() == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.pt"]


def test_draws_are_one_sentence_s_own(shards: Shards) -> None:
    arm = small_arm(shards, LINEAR)
    stream = Stream(shards["train"], 8, 0, shards.special.pad_id)
    batch = stream.batch(3)
    draw = draw_for(arm, batch, 3, seed=0)
    assert len(set(draw.t.tolist())) > 1
    assert bool((draw.s == draw.t - 1).all())
    half = Batch(batch.tokens[4:], batch.lengths[4:], batch.index[4:])
    torch.testing.assert_close(draw_for(arm, half, 3, seed=0).uniforms, draw.uniforms[4:], rtol=0, atol=0)
    one = small_arm(shards, LINEAR | {"one_t_per_batch": True})
    assert len(set(draw_for(one, batch, 3, seed=0).t.tolist())) == 1


def test_the_stream_depends_on_the_seed_alone_and_sees_every_sentence(shards: Shards) -> None:
    split, size = shards["train"], 8
    stream = Stream(split, size, 0, shards.special.pad_id)
    assert (stream.batch(7).index == Stream(split, size, 0, shards.special.pad_id).batch(7).index).all()
    assert (stream.batch(7).index != Stream(split, size, 1, shards.special.pad_id).batch(7).index).any()
    pools = -(-len(split) // (size * 50)) + 1
    seen = [index for step in range(pools * 50) for index in stream.batch(step).index.tolist()]
    counts = [seen.count(index) for index in range(len(split))]
    assert min(counts) >= len(seen) // len(split)
    assert max(counts) <= len(seen) // len(split) + 1


@pytest.mark.parametrize(
    ("decay", "step", "share"),
    [("linear", 0, 0.5), ("linear", 2, 1.0), ("linear", 12, 0.0), ("constant", 9, 1.0), ("inverse_sqrt", 8, 0.5)],
)
def test_the_learning_rate(decay: str, step: int, share: float) -> None:
    assert rate_multiplier(step, replace(SETTINGS, lr_decay=decay)) == pytest.approx(share)


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match=r"train\.warmup is 13"):
        replace(SETTINGS, warmup=13)


def test_no_validation_has_dropout(shards: Shards, tmp_path: Path) -> None:
    arm = small_arm(shards, LINEAR)
    arm.module.train()  # as fresh weights are
    modes: list[bool] = []

    def validate() -> dict[str, float]:
        modes.append(arm.module.training)
        return {"nats_per_sentence": 1.0}

    _run(arm, shards, tmp_path, validate=validate)
    assert len(modes) > 1
    assert not any(modes)
