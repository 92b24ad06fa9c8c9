"""Importance weights against the enumerated reverse model: every trajectory of a toy, and its weight."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from diffusionbert.diffusion.importance import hitting_places, importance_bound, trajectory_log_weights
from diffusionbert.diffusion.schedules import Cosine, Linear, Schedule
from enumeration import schedule_of
from oracle import Toy, toy
from property.test_samplers import Table

STRENGTHS = (0.0, 0.3, 0.5, 2.0)
GRIDS = {"full": [0, 1, 2, 3, 4], "strided": [0, 2, 4], "one step": [0, 4]}


@dataclass(frozen=True)
class Trajectories:
    """All that q can draw for one sentence: probabilities, our ln w, and ln w by the dense kernels."""

    probability: np.ndarray
    log_weights: np.ndarray
    dense: np.ndarray
    complete: bool  # whether q reaches every trajectory of the model


def dense_log_weight(model: Toy, sentence: tuple[int, ...], places: tuple[int, ...], grid: list[int]) -> float:
    """ln p_theta(x_{0:T}) of the trajectory whose position i is masked in step places[i], by the dense kernels."""
    total = 0.0
    for step in range(len(grid) - 2, -1, -1):
        before = tuple(model.num_words if place <= step else word for word, place in zip(sentence, places, strict=True))
        after = [model.num_words if place < step else word for word, place in zip(sentence, places, strict=True)]
        kernel = model.kernel(grid[step], grid[step + 1], before)
        total += math.fsum(math.log(kernel[i, word]) for i, word in enumerate(after))
    return total


def weights_of(
    model: Toy, schedule: Schedule, grid: list[int], *, time_agnostic: bool = False
) -> dict[tuple[int, ...], Trajectories]:
    rows = []
    for sentence in model.sentences:
        alpha = np.stack([model.forward(t, sentence) for t in grid])
        chances = alpha[:-1] - alpha[1:]  # of position i being masked in step k
        for places in itertools.product(range(len(grid) - 1), repeat=model.length):
            probability = math.prod(chances[k, i] for i, k in enumerate(places))
            if probability > 0:
                middle = [(alpha[k, i] + alpha[k + 1, i]) / 2 for i, k in enumerate(places)]
                dense = dense_log_weight(model, sentence, places, grid) - math.log(probability)
                rows.append((sentence, probability, middle, dense))
    sentences, probability, uniforms, dense = zip(*rows, strict=True)
    log_weights = trajectory_log_weights(
        Table(model, time_agnostic),
        schedule,
        torch.tensor(sentences),
        torch.full((len(rows),), model.length),
        torch.arange(model.num_words + 1) < model.num_words,
        model.num_words,
        grid,
        torch.tensor(np.array(uniforms)),
    )
    columns = np.array([probability, log_weights.tolist(), dense])
    numbers = np.array([model.sentences.index(sentence) for sentence in sentences])
    every = (len(grid) - 1) ** model.length
    return {
        sentence: Trajectories(*columns[:, numbers == number], complete=int((numbers == number).sum()) == every)
        for number, sentence in enumerate(model.sentences)
    }


@pytest.mark.parametrize("time_agnostic", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("mean", ["corpus", "sentence"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_mean_weight_is_the_exact_likelihood_and_the_mean_log_the_bound(
    strength: float, mean: str, grid: str, time_agnostic: bool
) -> None:
    model = toy(length=2, strength=strength, mean=mean, seed=2, time_agnostic=time_agnostic)
    exact, bound = model.probabilities(GRIDS[grid]), model.bound(GRIDS[grid])
    found = weights_of(model, schedule_of(model), GRIDS[grid], time_agnostic=time_agnostic)
    for sentence, trajectories in found.items():
        assert trajectories.probability.sum() == pytest.approx(1, rel=1e-12)
        assert trajectories.log_weights == pytest.approx(trajectories.dense, rel=1e-9, abs=1e-12)
        mean_weight = trajectories.probability @ np.exp(trajectories.log_weights)
        assert -(trajectories.probability @ trajectories.log_weights) == pytest.approx(bound[sentence], rel=1e-9)
        # a model that estimates its schedule also gives probability to trajectories that q never takes
        assert mean_weight <= exact[sentence] * (1 + 1e-12)
        if mean == "corpus" or trajectories.complete:
            assert mean_weight == pytest.approx(exact[sentence], rel=1e-9)


@pytest.mark.parametrize(("mean", "strength"), [("corpus", 0.0), ("corpus", 0.5), ("sentence", 0.5)])
def test_the_bound_tightens_with_every_sample_and_stays_a_bound(mean: str, strength: float) -> None:
    model = toy(num_steps=3, strength=strength, mean=mean, seed=3)
    grid = [0, 1, 2, 3]
    exact = model.probabilities(grid)
    for sentence, found in list(weights_of(model, schedule_of(model), grid).items())[::4]:
        probability, log_weights = found.probability, found.log_weights
        figures = []
        for num in (1, 2, 3):
            chances, logs = probability, log_weights[None]
            for _ in range(num - 1):
                chances = np.multiply.outer(chances, probability).ravel()
                logs = np.stack(
                    [*(np.repeat(row, len(log_weights)) for row in logs), np.tile(log_weights, logs.shape[1])]
                )
            figures.append(float(chances @ importance_bound(torch.from_numpy(logs)).numpy()))
        assert figures[0] > figures[1] > figures[2] > -math.log(exact[sentence])


def test_a_constant_prediction_has_weights_without_variance() -> None:
    """Under a schedule that looks at no token every trajectory weighs the same: the bound is exact."""
    model = toy(num_steps=4, strength=0.0)
    model = Toy(**{**vars(model), "logits": np.broadcast_to(model.logits[:1, :1], model.logits.shape).copy()})
    for schedule in (Linear(4), schedule_of(model)):
        for sentence, found in weights_of(model, schedule, GRIDS["full"]).items():
            surprise = sum(math.log(model.prediction(0, sentence)[i, v]) for i, v in enumerate(sentence))
            assert found.log_weights == pytest.approx(np.full(64, surprise), rel=1e-12)


@pytest.mark.parametrize("schedule", [Linear(64), Cosine(64)])
def test_a_trajectory_costs_a_call_for_every_moment_of_revealing(schedule: Schedule) -> None:
    calls = []

    class Counting(Table):
        def encode(self, xt: torch.Tensor, lengths: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            calls.append(t)
            return super().encode(xt, lengths, t)

    model = toy(num_steps=64)
    x0 = torch.tensor([[0, 1, 2], [2, 2, 0]])
    uniforms = torch.tensor([[0.2, 0.2, 0.9], [0.5, 0.1, 0.3]], dtype=torch.float64)
    candidates = torch.tensor([True, True, True, False])
    lengths = torch.tensor([3, 3])
    trajectory_log_weights(Counting(model), schedule, x0, lengths, candidates, 3, range(65), uniforms)
    assert len(calls) == 3, "two moments in the first sentence, three in the second"
    calls.clear()
    spindle = schedule_of(model)
    trajectory_log_weights(Counting(model, True), spindle, x0, lengths, candidates, 3, range(65), uniforms)
    assert len(calls) <= 3
    calls.clear()
    trajectory_log_weights(Counting(model), spindle, x0, lengths, candidates, 3, range(65), uniforms)
    first = int(hitting_places(spindle, x0, torch.ones_like(x0, dtype=torch.bool), range(65), uniforms).min())
    assert len(calls) == 65 - first, "a denoiser that is told the time says something else at every step"


def test_where_a_position_is_first_masked() -> None:
    x0, counted = torch.zeros(1, 5, dtype=torch.long), torch.tensor([[True, True, True, True, False]])
    uniforms = torch.tensor([[0.0, 0.1, 0.75, 0.99, 0.5]], dtype=torch.float64)
    places = hitting_places(Linear(4), x0, counted, [0, 1, 2, 3, 4], uniforms)
    assert places.tolist() == [[4, 4, 2, 1, 0]]  # U = 0.75 is still visible at a_1 = 0.75
