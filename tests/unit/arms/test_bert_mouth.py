from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusionbert.arms.base import Arm, Controlled, Draw, Drawing
from diffusionbert.arms.bert_mouth import BertMouth, Settings, corrupted
from diffusionbert.arms.build import vocabulary_of
from diffusionbert.corpus.batches import collate, in_order_of_length
from diffusionbert.corpus.shards import Shards
from diffusionbert.denoisers import backbone
from diffusionbert.diffusion.draws import Purpose, uniforms
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.evaluation import Scores, evaluate
from unit.small_arms import LINEAR, SHAPE, information_of, small_arm
from unit.test_training import SETTINGS, _run


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


def small_mouth(shards: Shards) -> BertMouth:
    torch.manual_seed(0)
    model = backbone.fresh(SHAPE, shards.special.vocab_size)
    vocabulary = vocabulary_of(shards, information_of(shards))
    return BertMouth(Settings(init="random", num_steps=32), model, vocabulary, shards.tokenizer_folder)


def scores(shards: Shards, strata: int, *, continuous: bool = False) -> dict[str, Scores]:
    arm = small_mouth(shards)
    arm.module.eval()
    return evaluate(
        arm.scorer([0.0, 0.3], 0.3, continuous=continuous),
        list(in_order_of_length(shards["test"], 16, 8, shards.special.pad_id)),
        num_strata=strata,
        num_eval_steps=None,
        seed=0,
        device=torch.device("cpu"),
        label="test",
    )


def test_it_is_an_arm_whose_scorer_draws_for_itself(shards: Shards) -> None:
    arm = small_mouth(shards)
    assert isinstance(arm, Arm)
    scorer = arm.scorer([0.0, 0.3], 0.3)
    assert isinstance(scorer, Drawing)
    assert isinstance(scorer, Controlled)
    assert list(scorer.figures) == ["bound", "order_linear", "order_spindle_0.3"]
    assert all(figure.is_bound and not figure.exact for figure in scorer.figures.values())
    assert arm.own_steps(64) == (64, 512)


def test_the_corruption_is_berts(shards: Shards) -> None:
    arm = small_mouth(shards)
    batch = collate(shards["test"], range(60), shards.special.pad_id)
    found = np.zeros(4)
    for step in range(40):
        noise = uniforms(0, Purpose.MASK, step=step, indices=batch.index, length=batch.tokens.shape[1])
        xt, chosen = corrupted(batch, noise, arm.vocabulary)
        assert torch.equal(xt[~chosen], batch.tokens[~chosen])
        assert not bool(chosen[~batch.counted].any())
        masked, same = xt[chosen] == arm.vocabulary.mask_id, (xt == batch.tokens)[chosen]
        assert bool((arm.vocabulary.candidates[xt[chosen]] | masked).all())
        found += [int(batch.counted.sum()), len(masked), int(masked.sum()), int(same.sum())]
    tokens, chosen_tokens, masked_tokens, same_tokens = found
    assert chosen_tokens / tokens == pytest.approx(0.15, abs=0.005)
    assert masked_tokens / chosen_tokens == pytest.approx(0.8, abs=0.02)
    assert same_tokens / chosen_tokens == pytest.approx(0.1, abs=0.02)  # a random word is the true one at times


def test_the_order_figures_are_those_of_an_absorbing_arm(shards: Shards) -> None:
    """The same network, draws and shared code: nothing tells them apart."""
    mouth = scores(shards, 8)
    arm = small_arm(shards, LINEAR)
    arm.module.eval()
    absorbing = evaluate(
        arm.scorer([0.0, 0.3], 0.3),
        list(in_order_of_length(shards["test"], 16, 8, shards.special.pad_id)),
        num_strata=8,
        num_eval_steps=None,
        seed=0,
        device=torch.device("cpu"),
        label="test",
    )
    for name in ("order_linear", "order_spindle_0.3"):
        np.testing.assert_allclose(mouth[name].nats, absorbing[name].nats, rtol=1e-6)


def test_strata_estimate_one_bound_under_both_kinds_of_time(shards: Shards) -> None:
    few, many, continuous = scores(shards, 4), scores(shards, 32), scores(shards, 32, continuous=True)
    for one, other in (
        (few["bound"], many["bound"]),
        (many["bound"], continuous["bound"]),
        (many["bound"], continuous["order_linear"]),
    ):
        error = np.hypot(one.monte_carlo_standard_error, other.monte_carlo_standard_error)
        assert error > 0
        assert abs(one.nats.mean() - other.nats.mean()) < 4 * error
    lengths = shards["test"].lengths[:16]
    assert many["bound"].nats.mean() == pytest.approx(lengths.mean() * np.log(shards.special.vocab_size), rel=0.1)


def test_training_lowers_the_loss(shards: Shards, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=60, batch_size=16, learning_rate=5e-3, log_every=10)
    losses = [row["loss_nats_per_token"] for row in _run(small_mouth(shards), shards, tmp_path, settings).losses]
    assert losses[-1] < losses[0] - 0.3


def test_a_batch_of_which_nothing_is_chosen_has_no_loss(shards: Shards) -> None:
    arm, batch = small_mouth(shards), collate(shards["test"], range(4), shards.special.pad_id)
    steps = torch.ones(4, dtype=torch.long)
    loss = arm.loss(batch, Draw(steps - 1, steps, torch.zeros(batch.tokens.shape, dtype=torch.float64)))
    assert loss.total.item() == 0
    loss.total.backward()


@pytest.mark.parametrize("num_steps", [1, 4, 9, 40])
def test_samples_are_words_and_repeat_under_a_seed(shards: Shards, num_steps: int) -> None:
    arm = small_mouth(shards)
    arm.module.eval()
    lengths, runs = torch.tensor([5, 9]), []
    for _ in range(2):
        states = list(
            arm.sample(
                arm.vocabulary.blank(lengths), num_steps, Truncation(0.8, top_k=9), torch.Generator().manual_seed(3)
            )
        )
        assert [state.t for state in states] == list(range(num_steps))[::-1]
        left = [(state.xt == arm.vocabulary.mask_id).sum(-1).tolist() for state in states]
        assert left[0] == ([4, 8] if num_steps >= 9 else left[0])
        assert left[-1] == [0, 0]
        runs.append(states[-1].xt)
        for row, length in zip(runs[-1], lengths, strict=True):
            assert bool(arm.vocabulary.candidates[row[:length]].all())
            assert bool((row[length:] == arm.vocabulary.pad_id).all())
    assert torch.equal(*runs)


def test_gibbs_steps_change_one_word_at_a_time(shards: Shards) -> None:
    arm = small_mouth(shards)
    arm.module.eval()
    states = list(
        arm.sample(arm.vocabulary.blank(torch.tensor([6])), 40, Truncation(), torch.Generator().manual_seed(0))
    )
    changes = [int((after.xt != before.xt).sum()) for before, after in itertools.pairwise(states[5:])]
    assert max(changes) == 1
    assert sum(changes) > 5


def test_it_is_saved_as_what_it_is(shards: Shards, tmp_path: Path) -> None:
    arm = small_mouth(shards)
    arm.save(tmp_path)
    arm.restore(tmp_path)
    assert '"system": "bert_mouth"' in (tmp_path / "arm.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="num_steps is 0"):
        Settings(init="random", num_steps=0)
