"""Which weights are validated and saved: the last, their average, or the best that validation saw."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from diffusionbert.checkpoint import Checkpoint
from diffusionbert.corpus.batches import Stream
from diffusionbert.corpus.shards import Shards
from diffusionbert.training import History, Settings, StoppedError, train
from diffusionbert.training.average import Average
from unit.small_arms import LINEAR, small_arm
from unit.test_training import SETTINGS


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


def test_the_average_is_the_recursion() -> None:
    module = nn.Linear(2, 1, bias=False)
    average = Average(module, 0.5)
    expected, weights = module.weight.detach().clone(), module.weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            module.weight.copy_(weights + step)
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (weights + step)
    with average.in_place():
        torch.testing.assert_close(module.weight.detach(), expected)
    assert torch.equal(module.weight.detach(), weights + 19)


def test_no_decay_is_no_average() -> None:
    module = nn.Linear(2, 1)
    average = Average(module, None)
    average.update()
    with average.in_place():
        assert module.weight is next(module.parameters())
    assert average.state() == {"weights": [], "updates": 0}


VALIDATED = (9.0, 3.0, 2.0, 4.0, 5.0)


def _trained(
    shards: Shards, folder: Path, settings: Settings, validated: Sequence[float] = VALIDATED, **changed: Any
) -> tuple[Any, History, list[Any]]:
    arm, seen = small_arm(shards, LINEAR), []

    def validate() -> dict[str, float]:
        seen.append({key: value.clone() for key, value in arm.module.state_dict().items()})
        return {"nats_per_sentence": validated[len(seen) - 1]}

    history = train(
        arm,
        Stream(shards["train"], settings.batch_size, 0, shards.special.pad_id),
        settings,
        seed=0,
        device=torch.device("cpu"),
        autocast=nullcontext,
        checkpoint=Checkpoint(folder, "k"),
        validate=validate,
        log=lambda values, step: None,
        label="test",
        **changed,
    )
    return arm, history, seen


def _holds(arm: Any, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, weights[key]) for key, value in arm.module.state_dict().items())


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_the_last_weights_that_were_validated_are_kept(shards: Shards, tmp_path: Path, ema_decay: float | None) -> None:
    arm, history, seen = _trained(shards, tmp_path, replace(SETTINGS, valid_every=3, ema_decay=ema_decay))
    assert len(seen) == 5
    assert _holds(arm, seen[-1])
    assert history.kept_step is None
    assert not Checkpoint(tmp_path, "k").best_path.exists()


def test_averaging_changes_what_is_kept_and_not_what_is_trained(shards: Shards, tmp_path: Path) -> None:
    plain, told, _ = _trained(shards, tmp_path / "plain", replace(SETTINGS, valid_every=3))
    averaged, history, _ = _trained(shards, tmp_path / "averaged", replace(SETTINGS, valid_every=3, ema_decay=0.9))
    assert history.losses == told.losses
    assert not _holds(averaged, plain.module.state_dict())


@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_the_best_weights_are_kept(shards: Shards, tmp_path: Path, ema_decay: float | None) -> None:
    settings = replace(SETTINGS, valid_every=3, keep="best", ema_decay=ema_decay)
    arm, history, seen = _trained(shards, tmp_path, settings)
    assert history.kept_step == 6  # whose validation was 2
    assert _holds(arm, seen[2])
    assert not _holds(arm, seen[-1])


def test_a_best_that_was_removed_is_told_and_the_best_of_the_rest_is_kept(
    shards: Shards, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What its line says when it is damaged: the states to resume from are whole, and no step is lost."""
    settings = replace(SETTINGS, valid_every=3, checkpoint_every=7, keep="best")
    with pytest.raises(StoppedError):
        _trained(shards, tmp_path, settings, asked_to_stop=lambda: (tmp_path / "step-000000007.pt").exists())
    (tmp_path / "best.pt").unlink()
    arm, history, seen = _trained(shards, tmp_path, settings, (4.0, 5.0))
    assert "best.pt: no such file; the best will be of those after step 6" in capsys.readouterr().err
    assert history.kept_step == 9
    assert _holds(arm, seen[0])


def test_a_best_cannot_be_chosen_among_what_is_not_finite(shards: Shards, tmp_path: Path) -> None:
    settings = replace(SETTINGS, valid_every=3, keep="best")
    with pytest.raises(ValueError, match="the validation after step 3 gives nan nats; expected a finite number"):
        _trained(shards, tmp_path, settings, (9.0, float("nan")))
