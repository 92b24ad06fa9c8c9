"""Every system on pairs: sources are seen, never noised and never counted, and no source is no condition at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusionbert.arms import absorbing, autoregressive, bert_mouth, diffusion_lm
from diffusionbert.arms.base import Arm, Draw
from diffusionbert.arms.build import vocabulary_of
from diffusionbert.corpus.batches import Batch, collate
from diffusionbert.corpus.shards import Shards
from diffusionbert.denoisers import backbone
from diffusionbert.diffusion.draws import Purpose, uniforms
from diffusionbert.diffusion.sampling import Canvas
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.evaluation import evaluate, trajectory_weights
from toy_arms import disturb
from unit.small_arms import DIFFUSEQ, LINEAR, SHAPE, SPINDLE, information_of

GPT = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 40}
ARMS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "linear": (absorbing.Absorbing, absorbing.Settings, LINEAR),
    "spindle": (absorbing.Absorbing, absorbing.Settings, SPINDLE),
    "sentence_mean": (
        absorbing.Absorbing,
        absorbing.Settings,
        SPINDLE | {"spindle_mean": "sentence", "objective": "oracle"},
    ),
    "lte": (absorbing.Absorbing, absorbing.Settings, LINEAR | {"time": "lte"}),
    "pte": (absorbing.Absorbing, absorbing.Settings, SPINDLE | {"time": "pte"}),
    "mdlm": (absorbing.Absorbing, absorbing.Settings, LINEAR | {"continuous": True}),
    "released": (absorbing.Absorbing, absorbing.Settings, SPINDLE | {"objective": "released"}),
    "cross_entropy": (absorbing.Absorbing, absorbing.Settings, LINEAR | {"objective": "cross_entropy"}),
    "diffuseq": (diffusion_lm.DiffusionLM, diffusion_lm.Settings, DIFFUSEQ),
    "diffuseq_expected": (
        diffusion_lm.DiffusionLM,
        diffusion_lm.Settings,
        DIFFUSEQ | {"prediction": "expected", "objective": "bound"},
    ),
    "bert_mouth": (bert_mouth.BertMouth, bert_mouth.Settings, {"init": "random", "num_steps": 32}),
    "gpt": (autoregressive.Autoregressive, autoregressive.Settings, {"init": "random"}),
}
EVERY = pytest.mark.parametrize("name", ARMS)


@pytest.fixture(scope="module")
def shards(pair_shards: Path) -> Shards:
    return Shards.open(pair_shards)


@pytest.fixture(scope="module")
def build(shards: Shards) -> Callable[[str], Any]:
    def made(name: str) -> Any:
        kind, settings, values = ARMS[name]
        torch.manual_seed(0)
        shape = GPT if kind.backbone_kind == "causal" else SHAPE
        model = backbone.fresh(shape, shards.special.vocab_size, kind=kind.backbone_kind)
        vocabulary = vocabulary_of(shards, information_of(shards))
        arm = kind(settings(**values), model, vocabulary, shards.tokenizer_folder)
        disturb(arm.module, by=0.02)  # an output of nothing but zeros, with which some begin, hears no source
        arm.module.eval()
        return arm

    return made


def some(shards: Shards, size: int = 6) -> Batch:
    """Pairs from the second on: the first of the corpus has no source."""
    return collate(shards["train"], range(1, size + 1), shards.special.pad_id)


def draw_for(batch: Batch, arm: Arm, t: int = 20) -> Draw:
    steps = torch.full((len(batch.lengths),), t)
    noise = uniforms(0, Purpose.MASK, step=t, indices=batch.index, length=batch.tokens.shape[1])
    if arm.continuous:
        return Draw(steps.double(), steps.double(), noise)
    return Draw(steps - 1, steps, noise)


def another_source(batch: Batch) -> Batch:
    """The same targets behind sources of other words, as long as they were."""
    assert batch.given is not None
    place = torch.arange(batch.tokens.shape[1])
    words = place < batch.given[:, None] - 1
    return replace(batch, tokens=torch.where(words, batch.tokens.roll(1, 0).clamp(min=40), batch.tokens))


def nats(arm: Arm, batch: Batch) -> dict[str, Tensor]:
    scorer = arm.scorer([0.0, 0.3], 0.3, continuous=arm.continuous)
    scores = evaluate(
        scorer, [batch], num_strata=4, num_eval_steps=None, seed=1, device=torch.device("cpu"), label="test"
    )
    return {figure: torch.from_numpy(score.nats) for figure, score in scores.items()}


@EVERY
def test_no_source_is_no_condition_to_the_bit(name: str, build: Callable[[str], Any], shards: Shards) -> None:
    batch = some(shards)
    without = replace(batch, given=None)
    nothing = replace(batch, given=torch.zeros_like(batch.lengths))
    arm = build(name)
    for loss in (arm.loss, arm.warmup_loss):
        one, other = (loss(each, draw_for(each, arm)) for each in (without, nothing))
        assert torch.equal(one.total, other.total)
        assert torch.equal(one.count, other.count)
    plain, empty = nats(arm, without), nats(arm, nothing)
    assert plain.keys() == empty.keys()
    for figure, values in plain.items():
        assert torch.equal(values, empty[figure]), figure


@EVERY
def test_what_is_scored_is_the_target(name: str, build: Callable[[str], Any], shards: Shards) -> None:
    """The same targets behind another source cost something else; as many tokens are counted."""
    arm, batch = build(name), some(shards)
    other = another_source(batch)
    assert not torch.equal(batch.tokens, other.tokens)
    first, second = (arm.loss(each, draw_for(each, arm)) for each in (batch, other))
    assert torch.equal(first.count, second.count)
    assert not torch.equal(first.total, second.total), "the source is seen"
    assert first.count <= batch.num_counted.sum() + len(batch.lengths)
    one, two = nats(arm, batch), nats(arm, other)
    assert any(not torch.equal(values, two[figure]) for figure, values in one.items())


@EVERY
def test_no_source_token_reaches_a_loss_or_a_figure_as_something_to_predict(
    name: str, build: Callable[[str], Any], shards: Shards
) -> None:
    """Sources of an id that no system can predict: as a target it would cost infinitely much or break a look-up."""
    arm, batch = build(name), some(shards)
    assert batch.given is not None
    told = torch.arange(batch.tokens.shape[1]) < batch.given[:, None]
    unspeakable = replace(batch, tokens=torch.where(told, shards.special.cls_id, batch.tokens))
    loss = arm.loss(unspeakable, draw_for(unspeakable, arm, t=32))
    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(values).all() for values in nats(arm, unspeakable).values())


class Watched:
    """Stands before a denoiser's encoder and keeps what it was shown."""

    def __init__(self, arm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[Tensor] = []
        encode = arm.denoiser.encode
        monkeypatch.setattr(
            arm.denoiser, "encode", lambda xt, *rest: (self.seen.append(xt.clone()), encode(xt, *rest))[1]
        )


@pytest.mark.parametrize("name", [name for name in ARMS if not name.startswith(("gpt", "diffuseq"))])
def test_a_source_is_never_masked(
    name: str, build: Callable[[str], Any], shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm, batch = build(name), some(shards)
    watched = Watched(arm, monkeypatch)
    assert batch.given is not None
    told = torch.arange(batch.tokens.shape[1]) < batch.given[:, None]
    for t in (1, 16, 32):
        arm.loss(batch, draw_for(batch, arm, t))
        arm.warmup_loss(batch, draw_for(batch, arm, t))
    nats(arm, batch)
    scorer = arm.scorer([], 0.3, continuous=False)
    if hasattr(scorer, "trajectory_weights"):
        grid = list(range(33))
        cpu = torch.device("cpu")
        trajectory_weights(scorer, [batch], grid=grid, num_samples=1, seed=0, device=cpu, label="test")
    canvas = Canvas.of_pairs(batch.tokens, batch.given, batch.lengths, shards.special.mask_id or 0, 0)
    states = list(arm.sample(canvas, 8, Truncation(), torch.Generator().manual_seed(0)))
    assert len(watched.seen) > 10
    noisy = 0
    for xt in watched.seen:
        assert torch.equal(xt[told], batch.tokens[told])
        noisy += int((xt[~told] == shards.special.mask_id).sum())
    assert noisy > 0
    assert torch.equal(states[-1].xt[told], batch.tokens[told])
    assert not bool((states[-1].xt == shards.special.mask_id).any())


@pytest.mark.parametrize("name", ["diffuseq", "diffuseq_expected"])
def test_diffuseq_keeps_its_sources_clean(
    name: str, build: Callable[[str], Any], shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm, batch = build(name), some(shards)
    assert batch.given is not None
    told = torch.arange(batch.tokens.shape[1]) < batch.given[:, None]
    clean = arm.denoiser.embedding(batch.tokens)[told]
    noised = arm.noised(batch, draw_for(batch, arm))
    assert torch.equal(noised.xt[told], clean)
    assert torch.equal(noised.x0[told], clean)
    assert bool((noised.xt[batch.counted] != noised.embedded[batch.counted]).any(-1).all())
    seen: list[Tensor] = []
    forward = arm.denoiser.forward
    monkeypatch.setattr(arm.denoiser, "forward", lambda xt, *rest: (seen.append(xt.clone()), forward(xt, *rest))[1])
    canvas = Canvas.of_pairs(batch.tokens, batch.given, batch.lengths, shards.special.mask_id or 0, 0)
    states = list(arm.sample(canvas, 8, Truncation(), torch.Generator().manual_seed(0)))
    assert len(seen) == 8
    assert all(torch.equal(xt[told], clean) for xt in seen)
    assert all(torch.equal(state.xt[told], batch.tokens[told]) for state in states)


def test_a_diffusion_lm_without_partial_noising_takes_no_source(build: Callable[[str], Any], shards: Shards) -> None:
    arm, batch = build("diffuseq"), some(shards)
    arm.settings = replace(arm.settings, partial_noising=False)
    with pytest.raises(ValueError, match="partial_noising is false, and the batch has given tokens; expected true"):
        arm.loss(batch, draw_for(batch, arm))


def test_a_prefix_model_predicts_the_target_alone(build: Callable[[str], Any], shards: Shards) -> None:
    arm, batch = build("gpt"), some(shards)
    assert batch.given is not None
    hidden = arm.predictor.encode(batch.tokens)
    log_p = arm.predictor.predict(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool))
    log_p = log_p.reshape(*hidden.shape[:2], -1).double()
    among = log_p.masked_fill(~arm.vocabulary.candidates, -torch.inf).log_softmax(-1)
    expected = torch.stack(
        [
            -sum(among[row, place, batch.tokens[row, place]] for place in range(int(first), int(length)))
            for row, (first, length) in enumerate(zip(batch.given, batch.lengths, strict=True))
        ]
    )
    assert torch.allclose(nats(arm, batch)["exact"], expected.detach(), rtol=1e-5)


def test_a_prefix_model_says_whether_the_length_is_given(build: Callable[[str], Any], shards: Shards) -> None:
    arm = build("gpt")
    assert shards.padded
    assert arm.scorer([], 0.0).figures["exact"].schedule == "left to right, its length learnt by end tokens"
    candidates = arm.vocabulary.candidates.clone()
    candidates[arm.vocabulary.sep_id] = False
    arm.vocabulary = replace(arm.vocabulary, candidates=candidates)
    assert arm.scorer([], 0.0).figures["exact"].schedule == "left to right, given the length"


def test_a_canvas_of_pairs_hides_what_is_to_be_written() -> None:
    tokens = torch.tensor([[7, 8, 2, 9, 9, 0], [7, 2, 9, 0, 0, 0], [9, 9, 0, 0, 0, 0]])
    canvas = Canvas.of_pairs(tokens, torch.tensor([3, 2, 0]), torch.tensor([5, 3, 2]), mask_id=4, pad_id=0)
    assert canvas.xt.tolist() == [[7, 8, 2, 4, 4, 0], [7, 2, 4, 0, 0, 0], [4, 4, 0, 0, 0, 0]]
    assert canvas.masked.tolist() == (canvas.xt == 4).tolist()
