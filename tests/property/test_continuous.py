"""The continuous-time bound: the limit of growing T, against a quadrature of the dense oracle."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from diffusionbert.diffusion.bound import Step, Terms, oracle_terms, released_terms, valid_terms
from diffusionbert.diffusion.continuous import continuous_oracle_terms, continuous_released_terms, continuous_terms
from diffusionbert.diffusion.schedules import Cosine, Linear, ReleasedSpindle, Schedule, Spindle
from enumeration import schedule_of
from oracle import Toy, toy

WORDS, LENGTH = 3, 2
STRENGTHS = (0.1, 0.3, 0.5, 1.0, 2.0)


def model_of(num_steps: int, strength: float, mean: str = "corpus", scale: float = 1.0) -> Toy:
    """A toy of one time-agnostic denoiser, the same for every T."""
    logits = scale * np.random.default_rng(7).standard_normal((1, (WORDS + 1) ** LENGTH, LENGTH, WORDS + 1))
    base = toy(num_words=WORDS, length=LENGTH, num_steps=1, strength=strength, mean=mean)
    return Toy(**{**vars(base), "num_steps": num_steps, "logits": logits})


def schedule(name: str, num_steps: int, strength: float = 0.0) -> Schedule:
    if name in ("linear", "cosine"):
        return {"linear": Linear, "cosine": Cosine}[name](num_steps)
    return schedule_of(model_of(num_steps, strength, name))


def at_every_state(schedule: Schedule, x0: tuple[int, ...], s: NDArray, t: NDArray) -> tuple[Step, torch.Tensor]:
    """One batch of every x_t with a [MASK] in it at each of the given t, and the probability of each."""
    model = model_of(1, 0.0)
    states = [masked for masked in np.ndindex(*[2] * LENGTH) if any(masked)]
    masked = torch.tensor(states, dtype=torch.bool).repeat(len(t), 1)
    sentence = torch.tensor([x0]).expand(len(masked), -1)
    counted = torch.ones_like(masked)
    times = torch.from_numpy(t).repeat_interleave(len(states))
    alpha = schedule.alpha_bar(times, sentence, schedule.sentence_mean(sentence, counted))
    probability = torch.where(masked, 1 - alpha, alpha).prod(-1)
    index = (torch.where(masked, WORDS, sentence) * (WORDS + 1) ** torch.arange(LENGTH - 1, -1, -1)).sum(-1)
    logits = torch.from_numpy(model.logits)[0, index][masked]
    earlier = torch.from_numpy(s).repeat_interleave(len(states))
    return Step(sentence, counted, masked, earlier, times, logits, torch.arange(WORDS + 1) < WORDS), probability


def integral(terms_of, schedule: Schedule, x0: tuple[int, ...], pieces: int = 4, nodes: int = 24) -> float:
    """Gauss-Legendre quadrature of E_q[terms] over t, piece by piece between the kinks that clipping makes."""
    x, weights = np.polynomial.legendre.leggauss(nodes)
    x, weights = (1 + x) ** 2 / 2 - 1, weights * (1 + x)  # t = a + (b - a) u^2: the logarithm at a kink is tamed
    edges = kinks(schedule, pieces)
    t = np.concatenate([(b - a) / 2 * x + (a + b) / 2 for a, b in itertools.pairwise(edges)])
    w = np.concatenate([(b - a) / 2 * weights for a, b in itertools.pairwise(edges)])
    step, probability = at_every_state(schedule, x0, t, t)
    terms: Terms = terms_of(step, schedule)
    possible = probability > 0  # a state that cannot be reached has terms of no meaning
    each = torch.where(possible, probability * terms.total.nan_to_num(), 0.0)
    return float((each.reshape(len(t), -1).sum(-1) * torch.from_numpy(w)).sum())


def kinks(schedule: Schedule, pieces: int) -> NDArray[np.float64]:
    """Even edges, and every t at which a token's curve meets 0 or 1 under the corpus mean."""
    T = schedule.num_steps
    edges = set(np.linspace(0, T, pieces + 1).tolist())
    if isinstance(schedule, Spindle) and not schedule.uses_sentence_mean:
        fine = torch.linspace(0, T, 200_001, dtype=torch.float64)
        alpha = schedule.alpha_bar_of_vocabulary(fine)[:, :WORDS]
        for column in alpha.T:
            inside = ((column > 0) & (column < 1)).long()
            for place in (inside.diff() != 0).nonzero()[:, 0].tolist():
                edges.add(float(fine[place]))
                edges.add(float(fine[place + 1]))
    return np.array(sorted(edges))


def discrete(terms_of, schedule: Schedule, x0: tuple[int, ...]) -> float:
    """The exact sum over the T steps."""
    t = np.arange(1, schedule.num_steps + 1)
    step, probability = at_every_state(schedule, x0, t - 1, t)
    terms = terms_of(step, schedule)
    return float(torch.where(probability > 0, probability * terms.total.nan_to_num(), 0.0).sum())


SENTENCES = [(0, 0), (0, 2), (2, 1)]
CASES = [("linear", 0.0), ("cosine", 0.0), *[("corpus", x) for x in STRENGTHS]]


@pytest.mark.parametrize(("name", "strength"), CASES)
def test_the_bound_of_growing_steps_tends_to_it_like_one_over_steps(name: str, strength: float) -> None:
    for x0 in SENTENCES:
        limit = integral(continuous_terms, schedule(name, 1, strength), x0)
        distance = [
            discrete(valid_terms, schedule(name, num_steps, strength), x0) - limit for num_steps in (64, 128, 256)
        ]
        assert abs(distance[-1]) < 0.05
        for coarse, fine in itertools.pairwise(distance):
            assert abs(fine) < 1e-6 or fine / coarse == pytest.approx(0.5, abs=0.12), distance


@pytest.mark.parametrize(("name", "strength"), [("corpus", 0.5), ("sentence", 0.1)])
def test_it_is_the_limit_of_the_dense_oracle(name: str, strength: float) -> None:
    """Richardson's extrapolation of the textbook bound, which knows neither terms nor rates."""
    coarse, fine = (dense_bound(num_steps, strength, name) for num_steps in (48, 96))
    pieces, nodes = (4, 24) if name == "corpus" else (300, 5)  # an estimated mean moves the kinks from state to state
    distances = []
    for x0 in SENTENCES:
        limit = integral(continuous_terms, schedule(name, 1, strength), x0, pieces, nodes)
        # a clipped curve's kink falls between two steps, which leaves an error of its own
        assert 2 * fine[x0] - coarse[x0] == pytest.approx(limit, abs=2e-3 * limit)
        distances.append(abs(coarse[x0] / limit - 1))
    assert max(distances) > 2.5e-3, "the extrapolation must matter"


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_more_steps_come_nearer_under_an_estimated_mean_that_clips(strength: float) -> None:
    limits = [integral(continuous_terms, schedule("sentence", 1, strength), x0, 300, 5) for x0 in SENTENCES]
    farthest = []
    for num_steps in (8, 64, 512):
        bounds = [discrete(valid_terms, schedule("sentence", num_steps, strength), x0) for x0 in SENTENCES]
        farthest.append(max(abs(bound - limit) for bound, limit in zip(bounds, limits, strict=True)))
    # eight times the steps leave less than half of the distance: a clipped curve's kink costs more than 1/T
    assert farthest[2] < farthest[1] / 2 < farthest[0] / 4, farthest
    assert farthest[2] < 0.06, farthest


def dense_bound(num_steps: int, strength: float, mean: str) -> dict[tuple[int, ...], float]:
    model = model_of(num_steps, strength, mean)
    logits = np.broadcast_to(model.logits, (num_steps + 1, *model.logits.shape[1:]))
    return Toy(**{**vars(model), "logits": logits}).bound(list(range(num_steps + 1)))


@pytest.mark.parametrize(("name", "strength"), CASES)
def test_a_prediction_of_neither_x_nor_t_scores_exactly_its_cross_entropy(name: str, strength: float) -> None:
    logits = torch.tensor([0.3, -1.2, 2.0, 5.0], dtype=torch.float64)
    surprise = -torch.log_softmax(logits[:WORDS], -1)
    process = schedule(name, 1, strength)
    for x0 in SENTENCES:
        figure = integral(
            lambda step, process: continuous_terms(replace(step, logits=logits.expand_as(step.logits)), process),
            process,
            x0,
        )
        assert figure == pytest.approx(float(surprise[list(x0)].sum()), rel=1e-5)
    assert strength < 2 or bool((process.alpha_bar_of_vocabulary(torch.tensor([0.1])) == 1).any()), "nothing is clipped"


@pytest.mark.parametrize(("name", "strength"), [("linear", 0.0), ("corpus", 0.5), ("sentence", 0.5)])
def test_the_oracle_protocol_has_its_limit(name: str, strength: float) -> None:
    for x0 in SENTENCES:
        limit = integral(continuous_oracle_terms, schedule(name, 1, strength), x0, 100, 8)
        coarse, fine = (discrete(oracle_terms, schedule(name, num_steps, strength), x0) for num_steps in (64, 256))
        assert abs(fine - limit) < max(0.4 * abs(coarse - limit), 3e-3)


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_the_released_protocol_has_its_limit(strength: float) -> None:
    frequency = torch.tensor([1.0, 0.6, 0.3, 0.0], dtype=torch.float64)
    for x0 in SENTENCES:
        limit = integral(continuous_released_terms, ReleasedSpindle(1, frequency, strength), x0, pieces=100)
        distance = [
            discrete(released_terms, ReleasedSpindle(num_steps, frequency, strength), x0) - limit
            for num_steps in (64, 512)
        ]
        # the cap at 0.999 leaves a kink of its own near t = 0
        assert abs(distance[1]) < abs(distance[0]) + 1e-3
        assert abs(distance[1]) < 0.01


@pytest.mark.parametrize("name", ["linear", "corpus", "sentence"])
def test_gradients_are_finite_wherever_t_is(name: str) -> None:
    process = schedule(name, 1, 1.0)
    t = np.array([1e-12, 1e-6, 0.05, 0.3, 0.77, 1 - 1e-9, 1.0])
    step, probability = at_every_state(process, (0, 2), t, t)
    sentence = step.masked.nonzero()[:, 0]
    possible = probability > 0
    step = Step(
        step.x0[possible], step.counted[possible], step.masked[possible], step.s[possible], step.t[possible],
        step.logits[possible[sentence]], step.candidates,
    )  # fmt: skip
    for scale in (1.0, 50.0):
        logits = (scale * step.logits).float().requires_grad_()
        terms = continuous_terms(replace(step, logits=logits), process)
        assert bool(terms.total.isfinite().all())
        terms.total.sum().backward()
        assert logits.grad is not None
        assert bool(logits.grad.isfinite().all())
        assert math.isfinite(float(logits.grad.abs().max()))
