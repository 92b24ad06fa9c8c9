from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from diffusionbert import config
from diffusionbert.arms.base import Arm, Draw, Drawing, Scorer
from diffusionbert.arms.build import settings_of, vocabulary_of
from diffusionbert.arms.diffusion_lm import BESIDE, DiffusionLM, Settings
from diffusionbert.corpus.batches import Batch, Stream, collate
from diffusionbert.corpus.shards import Shards
from diffusionbert.denoisers import backbone
from diffusionbert.diffusion.draws import Purpose, uniforms
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.evaluation import evaluate
from diffusionbert.training import draw_for
from unit.small_arms import SHAPE, information_of

COSINE: dict[str, Any] = {
    "init": "random",
    "schedule": "cosine",
    "num_steps": 32,
    "embedding_size": 16,
    "sampling_steps": 8,
}
EXPECTED = COSINE | {"prediction": "expected", "objective": "bound"}
SQRT = COSINE | {"schedule": "sqrt", "first_variance": 0.3}
ALL = pytest.mark.parametrize("settings", [COSINE, EXPECTED, SQRT], ids=["direct", "expected", "sqrt"])


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


def small(shards: Shards, settings: dict[str, Any], *, budget: int = 128, **shape: Any) -> DiffusionLM:
    torch.manual_seed(0)
    model = backbone.fresh({**SHAPE, **shape}, shards.special.vocab_size)
    vocabulary = vocabulary_of(shards, information_of(shards))
    arm = DiffusionLM(Settings(**settings), model, vocabulary, shards.tokenizer_folder, budget)
    arm.start()
    return arm


def _batch(shards: Shards, size: int = 6) -> Batch:
    return collate(shards["test"], range(size), shards.special.pad_id)


def _draw(batch: Batch, t: int, seed: int = 0) -> Draw:
    steps = torch.full((len(batch.lengths),), t)
    noise = uniforms(seed, Purpose.MASK, step=t, indices=batch.index, length=batch.tokens.shape[1])
    return Draw(steps - 1, steps, noise)


def _trained(arm: DiffusionLM, shards: Shards, steps: int, rate: float = 3e-3) -> DiffusionLM:
    optimizer = torch.optim.AdamW(arm.module.parameters(), lr=rate)
    arm.module.train()
    for step in range(steps):
        batch = Stream(shards["train"], 16, 0, shards.special.pad_id).batch(step)
        optimizer.zero_grad()
        loss = arm.loss(batch, draw_for(arm, batch, step, 0))
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        assert loss.observed is not None
        arm.remember(loss.observed)
    arm.module.eval()
    return arm


def _bound(arm: DiffusionLM, batch: Batch, strata: int = 8) -> tuple[float, float]:
    scores = evaluate(
        arm.scorer([], 0.0),
        [batch],
        num_strata=strata,
        num_eval_steps=None,
        seed=0,
        device=torch.device("cpu"),
        label="bound",
    )["bound"]
    return float(scores.nats.mean()), scores.monte_carlo_standard_error


@ALL
def test_an_arm_is_an_arm(shards: Shards, settings: dict[str, Any]) -> None:
    arm = small(shards, settings)
    scorer = arm.scorer([0.3], 0.3)
    assert isinstance(arm, Arm)
    assert isinstance(scorer, Scorer)
    assert isinstance(scorer, Drawing)
    assert [(name, figure.is_bound, figure.exact) for name, figure in scorer.figures.items()] == [
        ("bound", True, False)
    ]
    assert arm.own_steps(12) == (8, 32)
    assert arm.max_length == 62


@ALL
@pytest.mark.parametrize("t", [1, 2, 16, 32])
def test_every_step_trains_all_parts(shards: Shards, settings: dict[str, Any], t: int) -> None:
    arm = small(shards, settings)
    arm.module.train()
    loss = arm.loss(_batch(shards), _draw(_batch(shards), t))
    torch.testing.assert_close(loss.total.detach(), torch.stack(list(loss.terms.values())).sum().to(loss.total))
    loss.total.backward()  # type: ignore[no-untyped-call]
    found = {name for name, parameter in arm.module.named_parameters() if parameter.grad is not None}
    assert {"embedding.weight", "rounding_bias", "output_projection.2.weight"} <= found
    assert all(bool(p.grad.isfinite().all()) for p in arm.module.parameters() if p.grad is not None)


@ALL
def test_the_budget_of_the_logits_changes_no_loss(
    shards: Shards, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, and one sentence at a time: value, gradient and what is remembered of the error."""
    found = []
    for rows in (1 << 20, 1):
        arm = small(shards, settings, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        monkeypatch.setattr(
            "diffusionbert.arms.diffusion_lm.sentences_within",
            lambda lengths, most, size, budget, rows=rows: [
                slice(i, i + max(1, rows // 1000)) for i in range(0, len(lengths), max(1, rows // 1000))
            ],
        )
        arm.module.train()
        loss = arm.loss(_batch(shards), _draw(_batch(shards), 5))
        loss.total.backward()  # type: ignore[no-untyped-call]
        gradient = arm.denoiser.embedding.weight.grad
        assert gradient is not None
        assert loss.observed is not None
        arm.remember(loss.observed)
        found.append((loss.total.detach(), gradient, arm.denoiser.squared_error.clone()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_loss_of_all_steps_is_the_bound_of_the_scorer(shards: Shards) -> None:
    """T times one step's terms, averaged over every t, is the bound the scorer reports, per token."""
    arm, batch = small(shards, EXPECTED), _batch(shards)
    arm.module.eval()
    scorer = arm.scorer([], 0.0)
    with torch.no_grad():
        losses = [arm.loss(batch, _draw(batch, t)).total for t in range(1, 33)]
        terms = [scorer(batch, _draw(batch, t), ["bound"])["bound"].total for t in range(1, 33)]
    per_token = torch.stack(terms).sum(0).sum().item() / int(batch.lengths.sum())
    # rounding is drawn at every t, and counts as often as t is drawn here and equally often there
    assert torch.stack(losses).mean().item() == pytest.approx(per_token, rel=2e-2)


@ALL
def test_drawn_steps_estimate_the_sum_over_all_steps(shards: Shards, settings: dict[str, Any]) -> None:
    arm, batch = _trained(small(shards, settings), shards, 20), _batch(shards, 40)
    scorer = arm.scorer([], 0.0)
    with torch.no_grad():
        whole = sum(scorer(batch, _draw(batch, t), ["bound"])["bound"].total for t in range(1, 33))
    drawn, error = _bound(arm, batch, strata=16)
    assert float(whole.mean()) == pytest.approx(drawn, abs=4 * error + 0.01 * drawn)  # type: ignore[union-attr]


def test_the_silent_arm_is_the_law_of_independent_words(shards: Shards) -> None:
    """Before training `expected` is Bayes' rule for words drawn by frequency: its bound is near their information.

    The strongest test of bound and process together: any slip of a factor shows, and below it a bound cannot be.
    """
    arm, batch = small(shards, EXPECTED | {"num_steps": 400, "embedding_size": 64}), _batch(shards, 40)
    arm.module.eval()
    arm.denoiser.squared_error.copy_(torch.linspace(0, 1, 32) ** 4)  # so that its t are drawn well
    arm.module.eval()
    information = arm.vocabulary.information[batch.tokens].masked_fill(~batch.counted, 0.0).sum(-1).mean()
    bound, error = _bound(arm, batch, strata=32)
    assert bound > float(information) - 4 * error
    assert bound < 1.05 * float(information) + 4 * error


@pytest.mark.parametrize("settings", [COSINE, SQRT], ids=["direct", "sqrt"])
def test_training_lowers_the_bound(shards: Shards, settings: dict[str, Any]) -> None:
    arm = small(shards, settings)
    arm.module.eval()
    before, _ = _bound(arm, _batch(shards, 40))
    after, _ = _bound(_trained(arm, shards, 60), _batch(shards, 40))
    assert after < before


def test_what_the_network_says_lowers_the_error(shards: Shards) -> None:
    """`expected` starts as the law of independent words; on a few sentences its network soon knows better."""
    arm, few = small(shards, EXPECTED, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), _batch(shards, 8)
    optimizer = torch.optim.AdamW(arm.module.parameters(), lr=3e-3)
    for seed in range(200):
        optimizer.zero_grad()
        arm.loss(few, _draw(few, 20, seed)).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        noised = arm.noised(few, _draw(few, 20, 200))
        counted = few.counted
        steps = torch.full_like(few.tokens, 20)[counted]
        told, silent = (
            (noised.embedded[counted] - arm.predict(output, noised.xt[counted], steps)).square().mean()
            for output in (noised.output[counted], torch.zeros_like(noised.output[counted]))
        )
    assert told < 0.8 * silent


def test_the_padding_of_a_batch_changes_no_sentence(shards: Shards) -> None:
    arm = small(shards, EXPECTED)
    arm.module.eval()
    shortest = int(shards["test"].lengths[:40].argmin())
    alone, together = collate(shards["test"], [shortest], shards.special.pad_id), _batch(shards, 40)
    assert together.tokens.shape[1] > alone.tokens.shape[1]
    scorer = arm.scorer([], 0.0)
    with torch.no_grad():
        one = scorer(alone, _draw(alone, 16), ["bound"])["bound"].total
        many = scorer(together, _draw(together, 16), ["bound"])["bound"].total
    assert float(one[0]) == pytest.approx(float(many[shortest]), rel=1e-4)


@ALL
@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("truncation", [Truncation(), Truncation(0.7, top_k=5)])
def test_samples_are_words_and_repeat_under_a_seed(
    shards: Shards, settings: dict[str, Any], clamp: bool, truncation: Truncation
) -> None:
    arm = small(shards, settings | {"clamp": clamp})
    arm.module.eval()
    lengths, runs = torch.tensor([5, 9]), []
    for _ in range(2):
        states = list(arm.sample(arm.vocabulary.blank(lengths), 7, truncation, torch.Generator().manual_seed(3)))
        assert [state.calls for state in states] == list(range(1, 8))
        assert states[-1].t == 0
        runs.append(torch.stack([state.xt for state in states]))
        for row, length in zip(states[-1].xt, lengths, strict=True):
            assert bool(arm.vocabulary.candidates[row[:length]].all())
            assert bool((row[length:] == arm.vocabulary.pad_id).all())
    assert torch.equal(*runs)


def test_sampling_follows_the_process(shards: Shards) -> None:
    """A network that always says one word's embedding ends at that word, whatever the noise."""
    arm = small(shards, COSINE | {"clamp": False})
    word = int(arm.vocabulary.candidates.nonzero()[7])
    arm.denoiser.forward = (  # type: ignore[method-assign]
        lambda xt, lengths, t: arm.denoiser.embedding.weight[word].expand(xt.shape)
    )
    *_, last = arm.sample(
        arm.vocabulary.blank(torch.tensor([6, 6])), 8, Truncation(top_k=1), torch.Generator().manual_seed(0)
    )
    assert bool((last.xt == word).all())


def test_a_canvas_that_gives_tokens_is_refused(shards: Shards) -> None:
    arm = small(shards, COSINE)
    canvas = arm.vocabulary.blank(torch.tensor([6]))
    canvas.masked[0, 2] = False
    with pytest.raises(ValueError, match="some tokens are given; expected none"):
        next(arm.sample(canvas, 8, Truncation(), torch.Generator()))


@ALL
def test_a_saved_arm_is_restored_and_its_encoder_loads_with_transformers(
    shards: Shards, settings: dict[str, Any], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    arm, batch = _trained(small(shards, settings), shards, 3), _batch(shards)
    arm.save(tmp_path)
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)
    theirs, ours = model.base_model.state_dict(), arm.denoiser.encoder.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    again = DiffusionLM(arm.settings, model, arm.vocabulary, arm.tokenizer_folder)
    again.restore(tmp_path)
    again.module.eval()
    assert _bound(again, batch) == _bound(arm, batch)


def test_positions_of_a_drawn_encoder_are_as_large_as_embeddings_and_those_of_a_pretrained_one_its_own(
    shards: Shards,
) -> None:
    """At BERT's 0.02 they are lost beside embeddings of variance 1: no short training learns where a text ends."""
    drawn = small(shards, COSINE).denoiser.encoder.embeddings.position_embeddings.weight
    assert drawn.std().item() == pytest.approx(1, rel=0.1)
    own = small(shards, COSINE | {"init": "pretrained"}).denoiser.encoder.embeddings.position_embeddings.weight
    assert own.std().item() == pytest.approx(0.02, rel=0.1)


def test_a_short_training_learns_where_texts_end(shards: Shards) -> None:
    """Whose end stands in one place always: from noise alone, the prediction there is the end's embedding."""
    arm = small(shards, EXPECTED)
    tokens = torch.randint(7, 12, (64, 8), generator=torch.Generator().manual_seed(0))
    tokens[:, 4:] = arm.vocabulary.sep_id
    arm.vocabulary.candidates[arm.vocabulary.sep_id] = True
    batch = Batch(tokens, torch.full((64,), 8), torch.arange(64).numpy())
    optimizer = torch.optim.AdamW(arm.module.parameters(), lr=3e-3)
    for step in range(25):
        optimizer.zero_grad()
        arm.loss(batch, draw_for(arm, batch, step, 0)).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    arm.module.eval()
    noise = Draw(
        torch.full((64,), 31), torch.full((64,), 32), torch.rand(64, 8, generator=torch.Generator().manual_seed(1))
    )
    noised = arm.noised(batch, noise)
    steps = torch.full((64 * 8,), 32)
    predicted = arm.predict(noised.output.flatten(0, 1), noised.xt.flatten(0, 1), steps)
    end = arm.denoiser.embedding.weight[arm.vocabulary.sep_id]
    distance = (predicted - end).square().sum(-1).reshape(64, 8).mean(0)
    assert distance[4:].max() < 0.25 * distance[:4].min()


def test_restoring_names_the_file(shards: Shards, tmp_path: Path) -> None:
    arm = small(shards, COSINE)
    with pytest.raises(ValueError, match=BESIDE):
        arm.restore(tmp_path)
    arm.save(tmp_path)
    with pytest.raises(ValueError, match=r"found .* under 'embedding.weight'"):
        small(shards, COSINE | {"embedding_size": 8}).restore(tmp_path)


def test_pretrained_embeddings_are_the_backbones_words(shards: Shards) -> None:
    """With as many components as the words have, the encoder meets its own words at noise 0."""
    arm = small(shards, COSINE | {"init": "pretrained", "embedding_size": SHAPE["hidden_size"]})
    denoiser = arm.denoiser
    words = denoiser.encoder.get_input_embeddings().weight
    torch.testing.assert_close(denoiser.input_projection(denoiser.embedding.weight), words, rtol=1e-4, atol=1e-5)
    assert denoiser.embedding.weight.square().mean().item() == pytest.approx(1)
    with pytest.raises(ValueError, match="embedding_size is 64"):
        small(shards, COSINE | {"init": "pretrained", "embedding_size": 64})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_steps": 0}, "num_steps is 0"),
        ({"embedding_size": 0}, "embedding_size is 0"),
        ({"sampling_steps": 33}, "sampling_steps is 33"),
        ({"first_variance": 1.5}, "first_variance is 1.5"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**COSINE | change)


def test_a_misspelt_setting_is_named() -> None:
    row = config.Arm(
        label="x", tokenizer="bert", system="diffusion_lm", backbone="tiny", seed=0, settings=COSINE | {"clmp": True}
    )
    with pytest.raises(config.ConfigError, match="clmp"):
        settings_of("x", row)


def test_a_foreign_vocabulary_is_refused(shards: Shards) -> None:
    model = backbone.fresh(SHAPE, shards.special.vocab_size + 1)
    vocabulary = vocabulary_of(shards, information_of(shards))
    with pytest.raises(ValueError, match="expected the backbone's own tokenizer"):
        DiffusionLM(Settings(**COSINE), model, vocabulary, shards.tokenizer_folder)


def test_the_bound_is_in_float32_under_autocast(shards: Shards) -> None:
    """An error of bfloat16's size in a prediction would be multiplied by an SNR of hundreds."""
    arm, batch = small(shards, EXPECTED), _batch(shards)
    arm.module.eval()
    noised = arm.noised(batch, _draw(batch, 1))
    rows = (noised.output[batch.counted], noised.xt[batch.counted], torch.ones(int(batch.counted.sum())).long())
    expected, nats = arm.predict(*rows), arm.rounding_nats(noised.x0[batch.counted], batch.tokens[batch.counted])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(arm.predict(*rows), expected)
        assert torch.equal(arm.rounding_nats(noised.x0[batch.counted], batch.tokens[batch.counted]), nats)
        assert arm.denoiser(noised.xt, batch.lengths, torch.ones(len(batch.lengths)).long()).dtype == torch.float32
