"""The autoregressive arm: exact by enumeration, sampled in its own law, trained and saved as any arm."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from diffusionbert.arms.autoregressive import Autoregressive, Settings
from diffusionbert.arms.base import Arm, Draw, Scorer, Vocabulary
from diffusionbert.arms.build import vocabulary_of
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.corpus.batches import Batch, Stream, collate, in_order_of_length
from diffusionbert.corpus.shards import Shards
from diffusionbert.denoisers import backbone
from diffusionbert.diffusion.sampling import Canvas
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.evaluation import evaluate
from diffusionbert.training import Settings as Training
from diffusionbert.training import train
from unit.small_arms import information_of

GPT = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 40}
PAD, CLS, SEP, FIRST, WORDS = 0, 1, 2, 3, 4  # the toy's ids: three special ones, then the words
FIGURES = ("exact", "with_end")


def _of(vocabulary: Vocabulary, folder: Path, *, seed: int = 0, spread: float = 1.0, **shape: Any) -> Autoregressive:
    torch.manual_seed(seed)
    model = backbone.fresh({**GPT, **shape}, vocabulary.size, kind="causal").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(spread)
    return Autoregressive(Settings(init="random"), model, vocabulary, folder)


def _toy(tmp_path: Path, **shape: Any) -> Autoregressive:
    """Four words, and weights large enough that its probabilities differ by far."""
    candidates = torch.arange(FIRST + WORDS) >= FIRST
    nothing = torch.zeros(FIRST + WORDS)
    vocabulary = Vocabulary(-1, PAD, CLS, SEP, candidates, nothing.long(), nothing.double(), 0.0)
    return _of(vocabulary, tmp_path, spread=8.0, n_embd=16, **shape)


def _batch(sentences: list[list[int]], longest: int | None = None) -> Batch:
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    width = longest or int(lengths.max())
    tokens = torch.tensor([sentence + [PAD] * (width - len(sentence)) for sentence in sentences])
    return Batch(tokens, lengths, np.arange(len(sentences)))


def _no_draw(batch: Batch) -> Draw:
    steps = torch.ones(len(batch.lengths))
    return Draw(steps - 1, steps, torch.zeros(batch.tokens.shape, dtype=torch.float64))


@torch.no_grad()
def _nats(arm: Autoregressive, batch: Batch) -> dict[str, Tensor]:
    scores = arm.scorer([], 0.0)(batch, _no_draw(batch), FIGURES)
    assert all(bool((terms.timing == 0).all()) for terms in scores.values())
    return {name: terms.total for name, terms in scores.items()}


@torch.no_grad()
def _chain(arm: Autoregressive, sentence: list[int]) -> dict[str, float]:
    """The chain rule by transformers' own forward pass, one prefix at a time."""
    given = ended = 0.0
    candidates = arm.vocabulary.candidates
    for place, token in enumerate([*sentence, SEP]):
        logits = arm.predictor.model(input_ids=torch.tensor([[CLS, *sentence[:place]]])).logits[0, -1].double()
        ended -= float(torch.log_softmax(logits, -1)[token])
        if place < len(sentence):
            given -= float(torch.log_softmax(logits.masked_fill(~candidates, -torch.inf), -1)[token])
    return {"exact": given, "with_end": ended}


def _all_sentences(length: int) -> list[list[int]]:
    return [list(words) for words in itertools.product(range(FIRST, FIRST + WORDS), repeat=length)]


@pytest.fixture(scope="module")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


@pytest.fixture
def small(shards: Shards) -> Autoregressive:
    return _of(vocabulary_of(shards, information_of(shards)), shards.tokenizer_folder)


def test_it_offers_what_every_arm_does(tmp_path: Path) -> None:
    arm = _toy(tmp_path)
    assert isinstance(arm, Arm)
    assert isinstance(arm.scorer([0.0, 0.3], 0.3, continuous=True), Scorer)
    assert set(arm.scorer([0.0, 0.3], 0.3).figures) == set(FIGURES)
    assert all(figure.exact and figure.is_bound for figure in arm.scorer([], 0.0).figures.values())
    assert arm.scorer([], 0.0).num_steps is None
    assert (arm.own_steps(7), arm.max_length) == ((7,), 39)


def test_the_exact_figures_are_the_chain_rule(tmp_path: Path) -> None:
    arm = _toy(tmp_path)
    sentences = [[3, 4, 5, 6, 3], [6], [5, 5], [4, 3, 6]]
    scores = _nats(arm, _batch(sentences))
    for row, sentence in enumerate(sentences):
        for name, expected in _chain(arm, sentence).items():
            assert float(scores[name][row]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_given_the_length_the_probabilities_of_all_sentences_add_up_to_one(tmp_path: Path, length: int) -> None:
    scores = _nats(_toy(tmp_path), _batch(_all_sentences(length)))
    assert float((-scores["exact"]).exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float((-scores["with_end"]).exp().sum()) < 1
    assert bool((scores["with_end"] > scores["exact"]).all())


def test_with_the_end_the_probabilities_of_all_lengths_stay_below_one(tmp_path: Path) -> None:
    """They add up to 1 with the sentences that hold special tokens and those not yet ended."""
    arm = _toy(tmp_path)
    every = [list(ids) for ids in itertools.product((i for i in range(FIRST + WORDS) if i != SEP), repeat=3)]
    prefixes = [[], *([i] for i in range(FIRST + WORDS) if i != SEP)]
    prefixes += [list(ids) for ids in itertools.product((i for i in range(FIRST + WORDS) if i != SEP), repeat=2)]
    ended = sum(np.exp(-_chain(arm, sentence)["with_end"]) for sentence in prefixes)
    arm.vocabulary = replace(arm.vocabulary, candidates=torch.ones(FIRST + WORDS, dtype=torch.bool))
    going_on = float((-_nats(arm, _batch(every))["exact"]).exp().sum())
    assert ended + going_on == pytest.approx(1, abs=1e-5)


def test_a_token_that_is_no_candidate_is_impossible_given_the_length(tmp_path: Path) -> None:
    scores = _nats(_toy(tmp_path), _batch([[3, CLS, 4]]))
    assert float(scores["exact"]) == float("inf")
    assert bool(scores["with_end"].isfinite().all())


def test_batch_padding_and_budget_do_not_matter(small: Autoregressive, shards: Shards) -> None:
    small.module.eval()
    together = _nats(small, collate(shards["test"], range(12), shards.special.pad_id))
    alone = [_nats(small, collate(shards["test"], [i], shards.special.pad_id)) for i in range(12)]
    small.logits_budget_mb = 1  # 873 rows of 300 entries
    wide = _batch([shards["test"].tokens(i).tolist() for i in range(12)] * 8, longest=32)
    assert len(small.chunks(wide.counted)) > 1
    padded = _nats(small, wide)
    for name in FIGURES:
        torch.testing.assert_close(together[name], torch.cat([scores[name] for scores in alone]), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(together[name].repeat(8), padded[name], rtol=1e-5, atol=1e-4)


def test_evaluation_takes_one_pass(small: Autoregressive, shards: Shards) -> None:
    small.module.eval()
    batches = list(in_order_of_length(shards["test"], 9, 4, shards.special.pad_id))
    scores = evaluate(
        small.scorer([], 0.0),
        batches,
        num_strata=8,
        num_eval_steps=None,
        seed=0,
        device=torch.device("cpu"),
        label="test",
    )
    expected = _nats(small, collate(shards["test"], range(9), shards.special.pad_id))
    for name in FIGURES:
        np.testing.assert_allclose(scores[name].nats, expected[name].numpy(), rtol=1e-5)
        assert scores[name].monte_carlo_standard_error == 0


def test_the_loss_is_the_figure_with_the_end(small: Autoregressive, shards: Shards) -> None:
    small.module.eval()
    batch = collate(shards["test"], range(8), shards.special.pad_id)
    loss = small.loss(batch, _no_draw(batch))
    expected = _nats(small, batch)["with_end"].sum() / (batch.lengths + 1).sum()
    torch.testing.assert_close(loss.total.detach().double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.terms["token"] + loss.terms["end"], loss.total.detach())
    torch.testing.assert_close(small.warmup_loss(batch, _no_draw(batch)).total, loss.total)


def test_the_loss_in_chunks_is_the_loss(small: Autoregressive, shards: Shards) -> None:
    small.module.eval()
    batch = collate(shards["train"], range(64), shards.special.pad_id)
    found: list[tuple[Tensor, dict[str, Tensor]]] = []
    for budget, chunks in ((128, 1), (1, 2)):
        small.logits_budget_mb = budget
        assert (len(small.chunks(batch.counted)) > 1) == (chunks > 1)
        small.module.zero_grad()
        loss = small.loss(batch, _no_draw(batch))
        loss.total.backward()
        gradients = {name: p.grad.clone() for name, p in small.module.named_parameters() if p.grad is not None}
        found.append((loss.total.detach(), gradients))
    torch.testing.assert_close(found[0][0], found[1][0])
    assert set(found[0][1]) == {name for name, _ in small.module.named_parameters()}
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


def _fit(number: Tensor, probability: np.ndarray) -> float:
    """The p-value of Pearson's chi-square; what is expected less than 5 times is counted together."""
    count = len(number)
    observed = np.bincount(number.numpy(), minlength=len(probability))
    often = probability * count >= 5
    observed = np.append(observed[often], observed[~often].sum())
    expected = np.append(probability[often], probability[~often].sum()) * count
    assert len(observed) > 4
    return float(scipy.stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue)


def test_samples_follow_the_enumerated_law(tmp_path: Path) -> None:
    arm, sentences, count = _toy(tmp_path), _all_sentences(3), 20_000
    probability = (-_nats(arm, _batch(sentences))["exact"]).exp().numpy()
    rng = torch.Generator().manual_seed(0)
    *_, last = arm.sample(arm.vocabulary.blank(torch.full((count,), 3)), 3, Truncation(), rng)
    number = ((last.xt - FIRST) * torch.tensor([WORDS**2, WORDS, 1])).sum(-1)
    assert _fit(number, probability) > 1e-3


def test_the_cache_changes_nothing(tmp_path: Path) -> None:
    """At a temperature near 0 every token is the likeliest one of an uncached forward pass; lengths may differ."""
    arm = _toy(tmp_path)
    lengths, rng = torch.tensor([7, 2, 5]), torch.Generator().manual_seed(1)
    states = list(arm.sample(arm.vocabulary.blank(lengths), 7, Truncation(top_k=1), rng))
    assert [state.calls for state in states] == list(range(1, 8))
    assert [state.t for state in states] == list(range(6, -1, -1))
    for row, length in enumerate(lengths.tolist()):
        text = states[-1].xt[row].tolist()
        assert text[length:] == [PAD] * (7 - length)
        for place in range(length):
            with torch.no_grad():
                logits = arm.predictor.model(input_ids=torch.tensor([[CLS, *text[:place]]])).logits[0, -1]
            assert text[place] == FIRST + int(logits[FIRST:].argmax())
            assert int(states[place].xt[row, place]) == text[place]


def test_the_cached_states_are_those_of_one_pass(small: Autoregressive, shards: Shards) -> None:
    small.module.eval()
    tokens = collate(shards["test"], range(4), shards.special.pad_id).tokens
    with torch.no_grad():
        whole, cache = small.predictor.encode(tokens), None
        last = torch.full_like(tokens[:, :1], shards.special.cls_id)
        for place in range(tokens.shape[1]):
            hidden, cache = small.predictor.read(last, cache)
            torch.testing.assert_close(hidden, whole[:, place], rtol=1e-4, atol=1e-5)
            last = tokens[:, place : place + 1]


def test_the_numbers_of_steps_is_the_length(tmp_path: Path) -> None:
    arm = _toy(tmp_path)
    with pytest.raises(ValueError, match="4 steps for a text of 3 unknown tokens"):
        next(arm.sample(arm.vocabulary.blank(torch.tensor([3, 2])), 4, Truncation(), torch.Generator()))


def _canvas(rows: list[tuple[list[int], int]]) -> Canvas:
    """A canvas of given tokens at the start, and of so many unknown ones behind them."""
    lengths = torch.tensor([len(given) + unknown for given, unknown in rows])
    canvas = Canvas.blank(lengths, -1, PAD)
    for row, (given, _) in enumerate(rows):
        canvas.xt[row, : len(given)] = torch.tensor(given, dtype=torch.long)
        canvas.masked[row, : len(given)] = False
    return canvas


def test_a_text_goes_on_behind_given_tokens(tmp_path: Path) -> None:
    """Each row as an uncached forward pass has it, whatever is given in the others."""
    arm = _toy(tmp_path)
    rows = [([FIRST + 1, FIRST], 4), ([FIRST], 2), ([FIRST + 2, FIRST + 1, FIRST], 0)]
    states = list(arm.sample(_canvas(rows), 4, Truncation(top_k=1), torch.Generator().manual_seed(1)))
    assert [state.t for state in states] == [4, 3, 2, 1, 0]
    for row, (given, unknown) in zip(states[-1].xt.tolist(), rows, strict=True):
        assert row[: len(given)] == given
        assert row[len(given) + unknown :] == [PAD] * (6 - len(given) - unknown)
        for place in range(len(given), len(given) + unknown):
            with torch.no_grad():
                logits = arm.predictor.model(input_ids=torch.tensor([[CLS, *row[:place]]])).logits[0, -1]
            assert row[place] == FIRST + int(logits[FIRST:].argmax())


def test_a_text_of_which_all_is_given_stays(tmp_path: Path) -> None:
    canvas = _canvas([([FIRST, FIRST + 1], 0)])
    (state,) = _toy(tmp_path).sample(canvas, 0, Truncation(), torch.Generator())
    assert torch.equal(state.xt, canvas.xt)


def test_continuations_have_the_law_of_the_chain_rule(tmp_path: Path) -> None:
    arm, count = _toy(tmp_path), 20_000
    given = [FIRST + 1]
    sentences = [[*given, *rest] for rest in _all_sentences(2)]
    probability = (-_nats(arm, _batch(sentences))["exact"]).exp().numpy()
    probability /= probability.sum()  # p(x_2, x_3 | x_1)
    *_, last = arm.sample(_canvas([(given, 2)] * count), 2, Truncation(), torch.Generator().manual_seed(0))
    number = ((last.xt[:, 1:] - FIRST) * torch.tensor([WORDS, 1])).sum(-1)
    assert _fit(number, probability) > 1e-3


def test_a_causal_arm_is_not_asked_to_look_to_its_right(tmp_path: Path) -> None:
    arm, canvas = _toy(tmp_path), _canvas([([FIRST], 3), ([FIRST], 3)])
    canvas.masked[1, 2] = False
    with pytest.raises(ValueError, match=r"token 3 of text 2 is given behind an unknown one; expected .* at the start"):
        next(arm.sample(canvas, 3, Truncation(), torch.Generator()))


def test_training_lowers_the_loss_and_the_model_loads_with_transformers_alone(
    small: Autoregressive, shards: Shards, tmp_path: Path
) -> None:
    settings = Training(
        steps=60,
        batch_size=8,
        learning_rate=3e-3,
        lr_warmup_steps=5,
        lr_decay="linear",
        weight_decay=0.01,
        grad_clip=1.0,
        warmup=3,
        log_every=10,
        valid_every=60,
        valid_sentences=8,
        valid_strata=2,
        checkpoint_every=30,
    )
    history = train(
        small,
        Stream(shards["train"], 8, 0, shards.special.pad_id),
        settings,
        seed=0,
        device=torch.device("cpu"),
        autocast=nullcontext,
        checkpoint=Checkpoint(tmp_path / "checkpoint", "k"),
        validate=lambda: {"nats_per_sentence": 1.0},
        log=lambda values, step: None,
        label="gpt",
    )
    assert history.losses[-1]["loss_nats_per_token"] < 0.85 * history.losses[0]["loss_nats_per_token"]
    small.save(tmp_path / "model")

    transformers = pytest.importorskip("transformers")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    assert loaded.config.eos_token_id == loaded.generation_config.eos_token_id == shards.special.sep_id
    again = Autoregressive(Settings(init="random"), loaded, small.vocabulary, shards.tokenizer_folder)
    again.restore(tmp_path / "model")
    batch = collate(shards["test"], range(6), shards.special.pad_id)
    for name, nats in _nats(small, batch).items():
        torch.testing.assert_close(nats, _nats(again, batch)[name])


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    arm = _toy(tmp_path)
    with pytest.raises(ValueError, match="vocabulary of 9 and the token shards one of 7"):
        Autoregressive(Settings(init="random"), backbone.fresh(GPT, 9, kind="causal"), arm.vocabulary, tmp_path)
