"""BERT-Mouth by enumeration of all orders: its bound, what it samples, and what Gibbs steps leave as it is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusionbert.arms.base import Draw
from diffusionbert.arms.bert_mouth import BertMouth, Settings
from diffusionbert.diffusion.any_order import random_order
from diffusionbert.diffusion.sampling import Canvas
from diffusionbert.diffusion.truncation import Truncation
from property.test_samplers import p_value
from toy_arms import LENGTH, NOWHERE, WORDS, all_sentences, batch_of, table, toy_network, toy_vocabulary

NUM_SAMPLES = 20_000
Sentence = tuple[int, ...]


def toy_mouth() -> tuple[BertMouth, NDArray[np.float64]]:
    """The arm and its prediction p~ in every state, (states, L, W)."""
    arm = BertMouth(Settings(init="random", num_steps=8), toy_network(), toy_vocabulary(), NOWHERE)
    arm.module.eval()
    (logits,) = table(arm.denoiser, [1.0])
    words = np.exp(logits[:, :, :WORDS])
    return arm, words / words.sum(-1, keepdims=True)


def by_order(prediction: NDArray[np.float64], sentence: Sentence) -> list[float]:
    """ln p of the sentence in every order of its positions."""
    found = []
    for order in itertools.permutations(range(LENGTH)):
        state, log_p = [WORDS] * LENGTH, 0.0
        for place in order:
            number = sum(token * (WORDS + 1) ** (LENGTH - 1 - i) for i, token in enumerate(state))
            log_p += math.log(prediction[number, place, sentence[place]])
            state[place] = sentence[place]
        found.append(log_p)
    return found


def test_the_bound_is_the_mean_over_all_orders_and_above_the_exact_likelihood() -> None:
    arm, prediction = toy_mouth()
    scorer, batch = arm.scorer([0.0], 0.3), batch_of(all_sentences())
    found = torch.zeros(len(all_sentences()), dtype=torch.float64)
    orders = list(itertools.permutations(range(LENGTH)))
    for order in orders:  # a permutation of three uniforms is an order, and a place in (0, 1) a number of visible words
        uniforms = (torch.tensor(order).double() + 0.5).expand(len(found), -1) / LENGTH
        for visible in range(LENGTH):
            place = torch.full((len(found),), (visible + 0.3) / LENGTH, dtype=torch.float64)
            with torch.no_grad():
                found += scorer(batch, Draw(place, place, uniforms), ["bound"])["bound"].total
    found /= len(orders) * LENGTH
    exact = []
    for sentence, nats in zip(all_sentences(), found.tolist(), strict=True):
        each = by_order(prediction, sentence)
        assert nats == pytest.approx(-np.mean(each), rel=1e-5)
        exact.append(float(np.mean(np.exp(each))))
        assert nats > -math.log(exact[-1])
    assert math.fsum(exact) == pytest.approx(1, abs=1e-6)


def test_the_bound_is_that_of_continuous_time_under_the_linear_schedule() -> None:
    """`order_linear` integrated over a real t, with every mask in proportion to its probability."""
    arm, prediction = toy_mouth()
    scorer, batch = arm.scorer([0.0], 0.3, continuous=True), batch_of(all_sentences())
    nodes, weights = np.polynomial.legendre.leggauss(8)
    found = torch.zeros(len(all_sentences()), dtype=torch.float64)
    for node, weight in zip((1 + nodes) / 2, weights / 2, strict=True):
        place = torch.full((len(found),), node, dtype=torch.float64)
        share = node**2  # t / T of this place
        for pattern in itertools.product([False, True], repeat=LENGTH):
            probability = math.prod(share if masked else 1 - share for masked in pattern)
            uniforms = torch.where(torch.tensor(pattern), 1 - 1e-12, 0.0).double().expand(len(found), -1)
            with torch.no_grad():
                terms = scorer(batch, Draw(place, place, uniforms), ["order_linear"])["order_linear"]
            found += weight * probability * terms.total
    for sentence, nats in zip(all_sentences(), found.tolist(), strict=True):
        assert nats == pytest.approx(-np.mean(by_order(prediction, sentence)), rel=1e-5)


def drawn(arm: BertMouth, num_steps: int, seed: int = 0) -> Tensor:
    lengths, rng = torch.full((NUM_SAMPLES,), LENGTH), torch.Generator().manual_seed(seed)
    *_, last = arm.sample(arm.vocabulary.blank(lengths), num_steps, Truncation(), rng)
    assert last.t == 0
    assert last.calls == num_steps
    assert not bool((last.xt == WORDS).any())
    return last.xt


def test_samples_in_random_order_have_the_enumerated_law() -> None:
    arm, prediction = toy_mouth()
    exact = {sentence: float(np.mean(np.exp(by_order(prediction, sentence)))) for sentence in all_sentences()}
    assert p_value(drawn(arm, LENGTH), exact) > 1e-3


def test_one_step_names_every_word_from_nothing() -> None:
    arm, prediction = toy_mouth()
    blind = prediction[-1]  # the state of three [MASK]
    exact = {s: math.prod(blind[i, word] for i, word in enumerate(s)) for s in all_sentences()}
    assert p_value(drawn(arm, 1), exact) > 1e-3


def test_two_steps_split_the_words_between_them() -> None:
    """The first names one word of the three, the second the two others, each from that one alone."""
    arm, prediction = toy_mouth()
    exact = {}
    for sentence in all_sentences():
        total = 0.0
        for first in range(LENGTH):
            state = [sentence[i] if i == first else WORDS for i in range(LENGTH)]
            number = sum(token * (WORDS + 1) ** (LENGTH - 1 - i) for i, token in enumerate(state))
            rest = math.prod(prediction[number, i, sentence[i]] for i in range(LENGTH) if i != first)
            total += prediction[-1, first, sentence[first]] * rest / LENGTH
        exact[sentence] = total
    assert p_value(drawn(arm, 2), exact) > 1e-3


class Conditionals:
    """A predictor whose p~ are the conditionals of one joint law, so that every order and Gibbs agree on it."""

    time_agnostic = True

    def __init__(self, joint: NDArray[np.float64]) -> None:
        self.joint = joint

    def encode(self, xt: Tensor, lengths: Tensor, t: Tensor) -> Tensor:
        hidden = torch.zeros(*xt.shape, WORDS + 1, dtype=torch.float64)
        for state in xt.unique(dim=0):
            here = self.joint[tuple(slice(None) if word == WORDS else slice(word, word + 1) for word in state.tolist())]
            for place in range(xt.shape[1]):
                others = tuple(axis for axis in range(xt.shape[1]) if axis != place)
                if state[place] == WORDS:
                    law = torch.from_numpy(np.log(here.sum(others)))
                    rows = (xt == state).all(-1)
                    hidden[rows, place, :WORDS] = law
        return hidden

    def predict(self, hidden: Tensor, positions: Tensor) -> Tensor:
        return hidden[positions]


@pytest.mark.parametrize("num_steps", [LENGTH, LENGTH + 1, 4 * LENGTH])
def test_gibbs_steps_leave_a_joint_law_as_it_is(num_steps: int) -> None:
    joint = np.random.default_rng(4).dirichlet(np.ones(WORDS**LENGTH)).reshape([WORDS] * LENGTH)
    canvas = Canvas.blank(torch.full((NUM_SAMPLES,), LENGTH), mask_id=WORDS, pad_id=WORDS)
    *_, last = random_order(
        Conditionals(joint),
        canvas,
        torch.arange(WORDS + 1) < WORDS,
        num_steps,
        mask_id=WORDS,
        truncation=Truncation(),
        rng=torch.Generator().manual_seed(1),
    )
    assert p_value(last.xt, {sentence: float(joint[sentence]) for sentence in all_sentences()}) > 1e-3


@pytest.mark.parametrize("num_steps", [2, 3, 9])
def test_missing_words_have_their_law_given_the_rest(num_steps: int) -> None:
    """Named one at a time, in any order, from the conditionals of one joint law; and given words stay."""
    joint = np.random.default_rng(4).dirichlet(np.ones(WORDS**LENGTH)).reshape([WORDS] * LENGTH)
    starts = torch.tensor([[WORDS, 1, WORDS], [2, 0, WORDS]]).repeat_interleave(NUM_SAMPLES // 2, 0)
    *_, last = random_order(
        Conditionals(joint),
        Canvas(starts, starts == WORDS, torch.full((len(starts),), LENGTH)),
        torch.arange(WORDS + 1) < WORDS,
        num_steps,
        mask_id=WORDS,
        truncation=Truncation(),
        rng=torch.Generator().manual_seed(1),
    )
    first, second = last.xt.split(NUM_SAMPLES // 2)
    given = joint[:, 1, :] / joint[:, 1, :].sum()
    assert p_value(first, {(a, 1, b): float(given[a, b]) for a in range(WORDS) for b in range(WORDS)}) > 1e-3
    given = joint[2, 0] / joint[2, 0].sum()
    assert p_value(second, {(2, 0, word): float(given[word]) for word in range(WORDS)}) > 1e-3


class FirstBlind(Conditionals):
    """Knows nothing in its first calls, which therefore leave words far from the joint law."""

    def __init__(self, joint: NDArray[np.float64], blind_calls: int) -> None:
        super().__init__(joint)
        self.left = blind_calls

    def encode(self, xt: Tensor, lengths: Tensor, t: Tensor) -> Tensor:
        self.left -= 1
        return super().encode(xt, lengths, t) if self.left < 0 else torch.zeros(*xt.shape, WORDS + 1)


def test_gibbs_steps_move_words_to_the_law_of_their_conditionals() -> None:
    joint = np.full([WORDS] * LENGTH, 0.02)
    joint[0, 0, 0] = joint[1, 1, 1] = joint[2, 2, 2] = 0.2
    joint /= joint.sum()
    canvas = Canvas.blank(torch.full((4000,), LENGTH), mask_id=WORDS, pad_id=WORDS)
    exact = {sentence: float(joint[sentence]) for sentence in all_sentences()}
    found = []
    for num_steps in (LENGTH, 40 * LENGTH):
        *_, last = random_order(
            FirstBlind(joint, LENGTH),
            canvas,
            torch.arange(WORDS + 1) < WORDS,
            num_steps,
            mask_id=WORDS,
            truncation=Truncation(),
            rng=torch.Generator().manual_seed(1),
        )
        found.append(p_value(last.xt, exact))
    assert found[0] < 1e-12
    assert found[1] > 1e-3
