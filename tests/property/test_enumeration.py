"""The bound against the exact likelihood, both by enumeration over a toy vocabulary (see oracle.py)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusionbert.diffusion.absorbing import absorb, stratified_steps
from diffusionbert.diffusion.bound import Step, oracle_terms, released_terms, valid_terms
from diffusionbert.diffusion.draws import Purpose, uniforms
from diffusionbert.diffusion.schedules import Linear, ReleasedSpindle
from enumeration import enumerated, expected, schedule_of
from oracle import Toy, spindle, toy

STRENGTHS = (0.0, 0.1, 0.3, 0.5, 1.0, 2.0)
MEANS = ("corpus", "sentence")


@pytest.mark.parametrize("schedule_factor", [True, False])
@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("strength", STRENGTHS)
def test_valid_is_the_textbook_bound_and_above_the_exact_likelihood(
    strength: float, mean: str, schedule_factor: bool
) -> None:
    for num_steps in (1, 2, 6):
        model = toy(num_steps=num_steps, strength=strength, mean=mean, schedule_factor=schedule_factor)
        grid = list(range(num_steps + 1))
        exact = model.probabilities(grid)
        assert set(exact) == set(model.sentences), "a [MASK] was left, or a sentence is impossible"
        assert math.fsum(exact.values()) == pytest.approx(1, abs=1e-12)

        step, probability, numbers = enumerated(model, grid)
        terms = valid_terms(step, schedule_of(model), schedule_factor=schedule_factor)
        bound = expected(model, terms, probability, numbers)
        reference = model.bound(grid)
        for sentence, nats in bound.items():
            assert math.isfinite(nats)
            assert nats == pytest.approx(reference[sentence], rel=1e-10)
            assert nats >= -math.log(exact[sentence]) - 1e-10


@pytest.mark.parametrize("mean", MEANS)
def test_a_vocabulary_of_four_words_and_another_denoiser(mean: str) -> None:
    model = toy(num_words=4, num_steps=3, strength=0.5, mean=mean, seed=1, scale=5.0)
    grid = [0, 1, 2, 3]
    step, probability, numbers = enumerated(model, grid)
    bound = expected(model, valid_terms(step, schedule_of(model)), probability, numbers)
    exact = model.probabilities(grid)
    assert math.fsum(exact.values()) == pytest.approx(1, abs=1e-12)
    assert bound == pytest.approx(model.bound(grid), rel=1e-10)
    assert min(bound[sentence] + math.log(exact[sentence]) for sentence in exact) >= 0


@pytest.mark.parametrize("mean", MEANS)
def test_a_strided_grid_bounds_the_strided_model(mean: str) -> None:
    model = toy(num_steps=6, strength=1.0, mean=mean)
    for grid in ([0, 2, 4, 6], [0, 3, 6], [0, 1, 6], [0, 6]):
        exact = model.probabilities(grid)
        assert math.fsum(exact.values()) == pytest.approx(1, abs=1e-12)
        step, probability, numbers = enumerated(model, grid)
        bound = expected(model, valid_terms(step, schedule_of(model)), probability, numbers)
        assert bound == pytest.approx(model.bound(grid), rel=1e-10)
        assert min(bound[sentence] + math.log(exact[sentence]) for sentence in exact) >= -1e-10


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("schedule_factor", [True, False])
def test_a_batch_of_one_step_shares_its_weights_and_changes_nothing(mean: str, schedule_factor: bool) -> None:
    model = toy(num_steps=3, strength=0.5, mean=mean)
    step, _, _ = enumerated(model, [0, 1, 2, 3])
    whole = valid_terms(step, schedule_of(model), schedule_factor=schedule_factor)
    sentence = step.masked.nonzero()[:, 0]
    for t in (1, 2, 3):
        rows = step.t == t
        part = Step(
            step.x0[rows],
            step.counted[rows],
            step.masked[rows],
            step.s[rows],
            step.t[rows],
            step.logits[rows[sentence]],
            step.candidates,
        )
        terms = valid_terms(part, schedule_of(model), schedule_factor=schedule_factor)
        torch.testing.assert_close(terms.reveal, whole.reveal[rows], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(terms.timing, whole.timing[rows], rtol=1e-12, atol=1e-12)


def test_oracle_falls_below_the_exact_likelihood() -> None:
    # The defect, shown by an example: the same denoiser, the same forward process, a figure no probability allows.
    # (A mild denoiser: a wild one's bound is so loose that the defect hides under it.)
    below = {}
    for strength in STRENGTHS:
        model = toy(num_steps=6, strength=strength, scale=0.05)
        grid = list(range(7))
        step, probability, numbers = enumerated(model, grid)
        figure = expected(model, oracle_terms(step, schedule_of(model)), probability, numbers)
        exact = model.probabilities(grid)
        below[strength] = [x0 for x0 in exact if figure[x0] < -math.log(exact[x0])]
    assert below.pop(0.0) == []
    assert all(below.values()), {strength: len(sentences) for strength, sentences in below.items()}


@pytest.mark.parametrize("strength", STRENGTHS)
def test_oracle_reports_less_than_the_entropy_of_an_iid_source(strength: float) -> None:
    """The denoiser that minimises it, p(v) (a_s - a_t)(v) / Z, scores below what any model of the source can."""
    model = toy(num_steps=6, length=1, strength=strength)
    assert model.mean is not None
    probability = np.exp(-model.information)
    entropy = float(probability @ model.information)
    minimiser = np.zeros_like(model.logits)
    for t in range(1, 7):
        alpha = [spindle(u, 6, strength, model.information, model.mean) for u in (t - 1, t)]
        with np.errstate(divide="ignore"):
            minimiser[t, :, 0, :-1] = np.log(probability * (alpha[0] - alpha[1]))
    told = Toy(**{**vars(model), "logits": np.maximum(minimiser, -700)})
    step, weights, numbers = enumerated(told, list(range(7)))
    figures = expected(told, oracle_terms(step, schedule_of(told)), weights, numbers)
    mean_nats = sum(probability[x0[0]] * nats for x0, nats in figures.items())
    if strength == 0:
        assert mean_nats == pytest.approx(entropy, rel=1e-12)
    else:
        assert mean_nats < entropy - 1e-4
    valid = expected(told, valid_terms(step, schedule_of(told)), weights, numbers)
    assert sum(probability[x0[0]] * nats for x0, nats in valid.items()) >= entropy - 1e-12


@settings(deadline=None, max_examples=40)
@given(
    num_steps=st.integers(1, 40),
    strength=st.one_of(st.sampled_from(STRENGTHS), st.floats(0, 2)),
    seed=st.integers(0, 10**6),
    num_words=st.integers(2, 6),
)
def test_a_prediction_of_neither_x_nor_t_scores_exactly_its_cross_entropy(
    num_steps: int, strength: float, seed: int, num_words: int
) -> None:
    rng = np.random.default_rng(seed)
    length = 2
    logits = 3 * rng.standard_normal((length, num_words + 1))
    information = rng.uniform(0.05, 9, num_words)
    mean = float(rng.uniform(information.min(), information.max()))
    model = Toy(
        num_steps, length, information, strength, mean, True, np.broadcast_to(
            logits, (num_steps + 1, (num_words + 1) ** length, length, num_words + 1)
        )
    )  # fmt: skip
    step, probability, numbers = enumerated(model, list(range(num_steps + 1)))
    bound = expected(model, valid_terms(step, schedule_of(model)), probability, numbers)
    log_prediction = np.log(model.prediction(0, (0,) * length))
    for sentence, nats in bound.items():
        cross_entropy = -math.fsum(log_prediction[i, v] for i, v in enumerate(sentence))
        assert nats == pytest.approx(cross_entropy, rel=1e-9)


@pytest.mark.parametrize("num_steps", [1, 4, 24])
def test_a_constant_prediction_under_a_strided_grid_scores_the_same(num_steps: int) -> None:
    rng = np.random.default_rng(3)
    base = toy(num_steps=num_steps, strength=1.0, length=2)
    logits = np.broadcast_to(rng.standard_normal((2, 4)), base.logits.shape)
    model = Toy(**{**vars(base), "logits": logits})
    figures = []
    for grid in (list(range(num_steps + 1)), [0, num_steps], sorted({0, num_steps // 2, num_steps})):
        step, probability, numbers = enumerated(model, grid)
        figures.append(expected(model, valid_terms(step, schedule_of(model)), probability, numbers))
    assert figures[1] == pytest.approx(figures[0], rel=1e-10)
    assert figures[2] == pytest.approx(figures[0], rel=1e-10)


def test_without_the_factor_a_constant_prediction_pays_for_the_timing() -> None:
    # The figure grows with T wherever a is clipped at 1: what the schedule factor is for.
    costs = []
    for num_steps in (4, 16, 64):
        base = toy(num_steps=num_steps, strength=2.0, length=1)
        model = Toy(**{**vars(base), "logits": np.zeros_like(base.logits)})
        step, probability, numbers = enumerated(model, list(range(num_steps + 1)))
        terms = valid_terms(step, schedule_of(model), schedule_factor=False)
        costs.append(max(expected(model, terms, probability, numbers).values()))
    assert math.log(3) < costs[0] < costs[1] < costs[2]


def test_protocols_agree_on_the_linear_schedule() -> None:
    model = toy(num_steps=5, strength=0.0)
    step, _, _ = enumerated(model, list(range(6)))
    linear = valid_terms(step, Linear(5))
    for terms in (
        valid_terms(step, schedule_of(model)),
        valid_terms(step, schedule_of(model), schedule_factor=False),
        oracle_terms(step, Linear(5)),
        oracle_terms(step, schedule_of(model)),
    ):
        assert torch.equal(terms.total, linear.total)
        assert not terms.timing.any()
    # `released` differs by its 0.999 cap alone, which T = 5 does not reach
    released = released_terms(step, ReleasedSpindle(5, torch.rand(4, dtype=torch.float64), 0.0))
    torch.testing.assert_close(released.total, linear.total, rtol=1e-12, atol=0)


def test_the_linear_bound_is_d3pms() -> None:
    """sum_t (1/t) E sum_masked -ln p~ (Austin et al. 2021), term by term."""
    model = toy(num_steps=5, strength=0.0)
    step, _, _ = enumerated(model, list(range(6)))
    logits = step.logits[:, :-1]
    surprise = torch.logsumexp(logits, -1) - logits.gather(-1, step.targets[:, None]).squeeze(-1)
    weights = (1 / step.t.double())[step.masked.nonzero()[:, 0]]
    terms = valid_terms(step, Linear(5))
    torch.testing.assert_close(terms.total, step.per_sentence(weights * surprise), rtol=1e-12, atol=0)


@pytest.mark.parametrize("num_strata", [1, 4])
@pytest.mark.parametrize("mean", MEANS)
def test_the_stratified_estimate_is_unbiased(mean: str, num_strata: int) -> None:
    """T times the mean of the drawn terms, over the draws of 3,000 sentences with keys of their own."""
    model = toy(num_steps=6, strength=0.5, mean=mean)
    sentence, num = (2, 0, 1), 3000
    exact = model.bound(list(range(7)))[sentence]
    schedule = schedule_of(model)
    x0 = torch.tensor([sentence]).expand(num, -1)
    counted = torch.ones_like(x0, dtype=torch.bool)
    hbar = schedule.sentence_mean(x0, counted)
    estimate = torch.zeros(num, dtype=torch.float64)
    for stratum in range(num_strata):
        indices = range(num)
        positions = uniforms(0, Purpose.EVALUATION_STEP, step=stratum, indices=indices, length=1)[:, 0]
        t = stratified_steps(positions, torch.tensor(stratum), num_strata, 6)
        noise = uniforms(0, Purpose.EVALUATION_MASK, step=stratum, indices=indices, length=3)
        xt, masked = absorb(x0, schedule.alpha_bar(t, x0, hbar), noise, counted, mask_id=3)
        index = (xt * torch.tensor([16, 4, 1])).sum(-1)
        logits = torch.from_numpy(model.logits)[t, index][masked]
        step = Step(x0, counted, masked, t - 1, t, logits, torch.tensor([True, True, True, False]))
        estimate += 6 * valid_terms(step, schedule).total / num_strata
    standard_error = float(estimate.std()) / num**0.5
    assert standard_error < 0.05 * exact
    assert float(estimate.mean()) == pytest.approx(exact, abs=3.5 * standard_error)
