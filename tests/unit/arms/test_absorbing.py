from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from diffusionbert.arms.absorbing import Settings
from diffusionbert.arms.base import Draw
from diffusionbert.corpus.batches import Batch, collate
from diffusionbert.corpus.shards import Shards
from diffusionbert.diffusion.draws import Purpose, uniforms
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.training import draw_for
from unit.small_arms import LINEAR, SENTENCE, SPINDLE, small_arm

ALL = [LINEAR, LINEAR | {"schedule": "cosine"}, SPINDLE, SENTENCE]


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


def _batch(shards: Shards, size: int = 6) -> Batch:
    return collate(shards["test"], range(size), shards.special.pad_id)


def _draw(batch: Batch, t: int, seed: int = 0) -> Draw:
    steps = torch.full((len(batch.lengths),), t)
    noise = uniforms(seed, Purpose.MASK, step=t, indices=batch.index, length=batch.tokens.shape[1])
    return Draw(steps - 1, steps, noise)


@pytest.mark.parametrize("settings", ALL, ids=["linear", "cosine", "corpus", "sentence"])
@pytest.mark.parametrize("objective", ["valid", "oracle", "released", "cross_entropy"])
def test_every_objective_trains(shards: Shards, settings: dict[str, Any], objective: str) -> None:
    if settings is SENTENCE and objective == "valid":
        with pytest.raises(ValueError, match="cannot know"):
            Settings(**settings | {"objective": objective})
        return
    arm = small_arm(shards, settings | {"objective": objective})
    arm.module.train()
    for t in (1, 2, 16, 32):
        loss = arm.loss(_batch(shards), _draw(_batch(shards), t))
        torch.testing.assert_close(loss.total.detach(), torch.stack(list(loss.terms.values())).sum())
        arm.module.zero_grad()
        loss.total.backward()
        gradients = [parameter.grad for parameter in arm.module.parameters() if parameter.grad is not None]
        assert gradients
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_the_loss_of_all_steps_is_the_bound_of_the_scorer(shards: Shards) -> None:
    """T times one step's terms, averaged over every t, is the bound the scorer reports, per token."""
    arm, batch = small_arm(shards, SPINDLE), _batch(shards)
    arm.module.eval()
    with torch.no_grad():
        losses = [arm.loss(batch, _draw(batch, t)).total for t in range(1, 33)]
        scorer = arm.scorer([], 0.3)
        bound = sum(scorer(batch, _draw(batch, t), ["valid"])["valid"].total for t in range(1, 33))
    assert torch.stack(losses).mean().item() == pytest.approx(bound.sum().item() / int(batch.lengths.sum()), rel=1e-6)


def test_the_padding_of_a_batch_changes_no_sentence(shards: Shards) -> None:
    arm = small_arm(shards, LINEAR)
    arm.module.eval()
    shortest = int(shards["test"].lengths[:40].argmin())
    alone, together = collate(shards["test"], [shortest], shards.special.pad_id), _batch(shards, 40)
    assert together.tokens.shape[1] > alone.tokens.shape[1]
    with torch.no_grad():
        scorer = arm.scorer([0.0, 0.3], 0.3)
        names = list(scorer.figures)
        one, many = scorer(alone, _draw(alone, 16), names), scorer(together, _draw(together, 16), names)
    for name in names:
        assert one[name].total[0].item() == pytest.approx(many[name].total[shortest].item(), rel=1e-5)


def test_linear_arms_have_one_figure_under_three_names(shards: Shards) -> None:
    arm, batch = small_arm(shards, LINEAR), _batch(shards)
    arm.module.eval()
    scorer = arm.scorer([0.0, 0.3], 0.3)
    assert {name: figure.is_bound for name, figure in scorer.figures.items()} == {
        "valid": True,
        "oracle": True,
        "released": True,
        "order_linear": True,
        "order_spindle_0.3": True,
    }
    with torch.no_grad():
        terms = scorer(batch, _draw(batch, 20), list(scorer.figures))
    for name in ("oracle", "released", "order_linear"):
        torch.testing.assert_close(terms[name].total, terms["valid"].total)


def test_spindle_arms_are_told_what_is_no_bound(shards: Shards) -> None:
    figures = small_arm(shards, SPINDLE).scorer([0.3], 0.3).figures
    assert [name for name, figure in figures.items() if not figure.is_bound] == ["oracle", "released"]


@pytest.mark.parametrize("settings", ALL, ids=["linear", "cosine", "corpus", "sentence"])
@pytest.mark.parametrize("truncation", [Truncation(), Truncation(0.7, top_k=5), Truncation(top_p=0.8)])
def test_samples_are_words_and_repeat_under_a_seed(
    shards: Shards, settings: dict[str, Any], truncation: Truncation
) -> None:
    arm = small_arm(shards, settings)
    arm.module.eval()
    lengths = torch.tensor([5, 9])
    runs = []
    for _ in range(2):
        *_, last = arm.sample(arm.vocabulary.blank(lengths), 8, truncation, torch.Generator().manual_seed(3))
        runs.append(last.xt)
        for row, length in zip(last.xt, lengths, strict=True):
            assert bool(arm.vocabulary.candidates[row[:length]].all())
            assert bool((row[length:] == arm.vocabulary.pad_id).all())
    assert torch.equal(*runs)


def test_first_hitting_calls_at_most_once_a_position(shards: Shards) -> None:
    arm = small_arm(shards, LINEAR | {"num_steps": 1024})
    arm.module.eval()
    *_, last = arm.sample(
        arm.vocabulary.blank(torch.full((4,), 12)), 1024, Truncation(), torch.Generator().manual_seed(0)
    )
    assert last.calls <= 12


def test_a_saved_arm_loads_with_transformers_alone(shards: Shards, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    arm, batch = small_arm(shards, LINEAR), _batch(shards)
    arm.module.eval()
    arm.save(tmp_path / "model")
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert len(tokenizer) == shards.special.vocab_size
    framed = [shards.special.cls_id, *batch.tokens[0, : batch.lengths[0]].tolist(), shards.special.sep_id]
    with torch.no_grad():
        theirs = model(input_ids=torch.tensor([framed])).logits[0, 1:-1]
        only = Batch(batch.tokens[:1], batch.lengths[:1], batch.index[:1])
        hidden = arm.denoiser.encode(only.tokens, only.lengths, torch.tensor([1]))
        ours = arm.denoiser.predict(hidden, only.counted)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_steps": 0}, "num_steps is 0"),
        ({"spindle_lambda": -0.3, "schedule": "spindle"}, "spindle_lambda is -0.3"),
        ({"spindle_lambda": 0.3}, "only 'spindle'"),
        ({"weighting": "linear"}, "only 'cross_entropy'"),
        ({"continuous": True, "objective": "oracle"}, "only 'valid'"),
    ],
)
def test_settings_that_contradict_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**LINEAR | change)


def test_another_vocabulary_is_refused(shards: Shards) -> None:
    arm = small_arm(shards, LINEAR)
    arm.denoiser.model.config.vocab_size = 7
    with pytest.raises(ValueError, match="vocabulary of 7 and the token shards one of"):
        type(arm)(arm.settings, arm.denoiser.model, arm.vocabulary, shards.tokenizer_folder)


@pytest.mark.parametrize("objective", ["valid", "oracle", "released", "cross_entropy"])
@pytest.mark.parametrize("settings", [LINEAR, SPINDLE, SENTENCE], ids=["linear", "corpus", "sentence"])
def test_logits_over_the_budget_change_neither_loss_nor_gradient(
    shards: Shards, settings: dict[str, Any], objective: str
) -> None:
    if settings is SENTENCE and objective == "valid":
        pytest.skip("no such arm")
    arm, batch = small_arm(shards, settings | {"objective": objective}), _batch(shards)
    arm.module.eval()
    found = []
    for budget in (128, 0):  # 0: one sentence at a time
        arm.logits_budget_mb = budget
        arm.module.zero_grad()
        loss = arm.loss(batch, _draw(batch, 16))
        (3 * loss.total).backward()
        gradients = {name: each.grad.clone() for name, each in arm.module.named_parameters() if each.grad is not None}
        found.append((loss, gradients))
    (whole, expected), (chunked, gradients) = found
    torch.testing.assert_close(chunked.total, whole.total)
    assert chunked.terms.keys() == whole.terms.keys()
    for name, term in whole.terms.items():
        torch.testing.assert_close(chunked.terms[name], term)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6)


def test_cross_entropy_can_be_weighted_over_t(shards: Shards) -> None:
    settings = LINEAR | {"objective": "cross_entropy"}
    plain, weighted = small_arm(shards, settings), small_arm(shards, settings | {"weighting": "linear"})
    batch = _batch(shards)
    for arm in (plain, weighted):
        arm.module.eval()
    for t in (1, 9, 32):
        draw = _draw(batch, t)
        expected = plain.loss(batch, draw).total * (1 - (t - 1) / 32)
        torch.testing.assert_close(weighted.loss(batch, draw).total, expected)
        torch.testing.assert_close(weighted.warmup_loss(batch, draw).total, plain.warmup_loss(batch, draw).total)


def test_scores_in_chunks_are_the_same(shards: Shards) -> None:
    arm, batch = small_arm(shards, SPINDLE), _batch(shards)
    arm.module.eval()
    scorer, draw = arm.scorer([0.0, 0.3], 0.3), _draw(batch, 16)
    names = list(scorer.figures)
    with torch.no_grad():
        whole = scorer(batch, draw, names)
        arm.logits_budget_mb = 0
        chunked = scorer(batch, draw, names)
    for name in names:
        torch.testing.assert_close(chunked[name].reveal, whole[name].reveal, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(chunked[name].timing, whole[name].timing, rtol=1e-4, atol=1e-5)


def test_chunks_train_under_autocast(shards: Shards) -> None:
    """Autocast keeps low-precision copies of the weights, which one chunk's backward pass must leave to the next."""
    arm, batch = small_arm(shards, SPINDLE), _batch(shards)
    arm.module.eval()
    found = []
    for budget in (128, 0):
        arm.logits_budget_mb = budget
        arm.module.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            arm.loss(batch, _draw(batch, 16)).total.backward()
        found.append(torch.cat([each.grad.flatten() for each in arm.module.parameters() if each.grad is not None]))
    torch.testing.assert_close(found[1], found[0], rtol=0.1, atol=2e-3)


@pytest.mark.parametrize("settings", [LINEAR, SPINDLE], ids=["linear", "corpus"])
def test_continuous_training_is_on_the_continuous_bound(shards: Shards, settings: dict[str, Any]) -> None:
    """The mean loss over real t agrees with that over a great many steps, same noise."""
    batch = _batch(shards)
    arm = small_arm(shards, settings | {"continuous": True, "num_steps": 4096})
    steps = small_arm(shards, settings | {"num_steps": 4096})
    for each in (arm, steps):
        each.module.eval()
    with torch.no_grad():
        for t in (1000, 2000, 3000):
            draw = _draw(batch, t)
            real = Draw(draw.s, draw.t.double() - 0.5, draw.uniforms)
            assert arm.loss(batch, real).total.item() == pytest.approx(steps.loss(batch, draw).total.item(), rel=5e-3)


def test_continuous_arms_draw_a_real_t(shards: Shards) -> None:
    batch = _batch(shards)
    t = draw_for(small_arm(shards, LINEAR | {"continuous": True}), batch, 3, 0).t
    assert t.dtype == torch.float64
    assert bool(((t > 0) & (t <= 32)).all())
    assert len(t.unique()) == len(t)
