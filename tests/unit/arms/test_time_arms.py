"""Absorbing arms that are told the time: saved, restored, resumed, and refused where they cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusionbert.arms.absorbing import Absorbing
from diffusionbert.arms.base import Draw
from diffusionbert.corpus.batches import collate
from diffusionbert.corpus.shards import Shards
from diffusionbert.diffusion.draws import Purpose, uniforms
from diffusionbert.diffusion.truncation import Truncation
from toy_arms import disturb
from unit.small_arms import LINEAR, small_arm
from unit.test_training import SETTINGS, _dying, _KilledError, _run

BOTH = pytest.mark.parametrize("design", ["lte", "pte"])


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


def predicted(arm: Absorbing, shards: Shards, t: int) -> Tensor:
    batch = collate(shards["test"], range(6), shards.special.pad_id)
    with torch.no_grad():
        hidden = arm.denoiser.encode(batch.tokens, batch.lengths, torch.full((6,), t))
        return arm.denoiser.predict(hidden, batch.counted)


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
@BOTH
def test_a_step_of_training_makes_the_time_matter(shards: Shards, tmp_path: Path, design: str, model_type: str) -> None:
    arm = small_arm(shards, LINEAR | {"time": design}, model_type=model_type)
    plain = small_arm(shards, LINEAR, model_type=model_type)
    for each in (arm, plain):
        each.module.eval()
    torch.testing.assert_close(predicted(arm, shards, 3), predicted(plain, shards, 3), rtol=1e-4, atol=1e-5)
    _run(arm, shards, tmp_path, replace(SETTINGS, steps=1, lr_warmup_steps=0, learning_rate=1e-2))
    assert not torch.allclose(predicted(arm, shards, 3), predicted(arm, shards, 30), atol=1e-4)


@BOTH
def test_a_killed_run_resumes_to_the_same_bits(shards: Shards, tmp_path: Path, design: str) -> None:
    settings = LINEAR | {"time": design}
    whole, killed, resumed = (small_arm(shards, settings, seed=seed) for seed in (0, 0, 99))
    told = _run(whole, shards, tmp_path / "whole")
    killed.loss = _dying(killed, 5)  # type: ignore[method-assign]
    with pytest.raises(_KilledError):
        _run(killed, shards, tmp_path / "killed")
    assert _run(resumed, shards, tmp_path / "killed") == told
    for ours, theirs in zip(resumed.module.parameters(), whole.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@BOTH
def test_a_restored_arm_predicts_the_same(shards: Shards, tmp_path: Path, design: str) -> None:
    transformers = pytest.importorskip("transformers")
    arm = small_arm(shards, LINEAR | {"time": design})
    assert arm.denoiser.time is not None
    disturb(arm.denoiser.time, by=0.1)
    arm.module.eval()
    arm.save(tmp_path)
    assert f'"time": "{design}"' in (tmp_path / "arm.json").read_text(encoding="utf-8")
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)
    again = type(arm)(arm.settings, model, arm.vocabulary, shards.tokenizer_folder)
    again.module.eval()
    assert not torch.equal(predicted(again, shards, 3), predicted(arm, shards, 3))
    again.restore(tmp_path)
    assert torch.equal(predicted(again, shards, 3), predicted(arm, shards, 3))


def test_a_time_module_that_is_not_there_or_another_is_refused(shards: Shards, tmp_path: Path) -> None:
    plain, told, prefixed = (small_arm(shards, LINEAR | {"time": time}) for time in ("tad", "lte", "pte"))
    plain.save(tmp_path)
    plain.restore(tmp_path)
    with pytest.raises(ValueError, match=r"time.safetensors: no such file; expected the time module"):
        told.restore(tmp_path)
    prefixed.save(tmp_path)
    with pytest.raises(ValueError, match=r"time.safetensors: not this arm's time module"):
        told.restore(tmp_path)


@pytest.mark.parametrize("change", [{}, {"schedule": "spindle", "spindle_lambda": 0.3}, {"continuous": True}])
@BOTH
def test_arms_that_are_told_the_time_train_and_sample(shards: Shards, design: str, change: dict[str, Any]) -> None:
    arm = small_arm(shards, LINEAR | change | {"time": design})
    assert not arm.denoiser.time_agnostic
    batch = collate(shards["test"], range(6), shards.special.pad_id)
    noise = uniforms(0, Purpose.MASK, step=0, indices=batch.index, length=batch.tokens.shape[1])
    steps = torch.arange(6) + 20
    draw = Draw(steps - 1, steps.double() - 0.3 if arm.continuous else steps, noise)
    for loss in (arm.loss(batch, draw), arm.warmup_loss(batch, draw)):
        assert bool(loss.total.isfinite())
        loss.total.backward()
    arm.module.eval()
    *_, last = arm.sample(arm.vocabulary.blank(torch.tensor([5, 9])), 8, Truncation(), torch.Generator().manual_seed(3))
    assert bool(arm.vocabulary.candidates[last.xt[0, :5]].all())


@BOTH
def test_the_warm_up_is_told_one_time_whatever_was_drawn(shards: Shards, design: str) -> None:
    arm = small_arm(shards, LINEAR | {"time": design})
    assert arm.denoiser.time is not None
    disturb(arm.denoiser.time, by=0.1)
    arm.module.eval()
    batch = collate(shards["test"], range(6), shards.special.pad_id)
    noise = uniforms(0, Purpose.MASK, step=0, indices=batch.index, length=batch.tokens.shape[1])
    found = []
    for t in (2, 30):
        steps = torch.full((6,), t)
        found.append(arm.warmup_loss(batch, Draw(steps - 1, steps, noise)).total)
    assert torch.equal(*found)
