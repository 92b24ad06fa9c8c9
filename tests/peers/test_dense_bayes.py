"""The process against D3PM's own construction: dense (V + 1) x (V + 1) transition matrices and Bayes over them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from diffusionbert.diffusion.schedules import (
    Cosine,
    Linear,
    Schedule,
    Spindle,
    reveal_probability,
    stay_probability,
)

NUM_STEPS = 7
INFORMATION = torch.tensor([0.4, 1.3, 3.0, 6.0, float("nan")], dtype=torch.float64)  # the last id is [MASK]
NUM_WORDS, MASK = 4, 4
SCHEDULES: dict[str, Schedule] = {
    "linear": Linear(NUM_STEPS),
    "cosine": Cosine(NUM_STEPS),
    **{f"spindle_{x}": Spindle(NUM_STEPS, INFORMATION, x, "corpus", 1.5) for x in (0.0, 0.1, 0.3, 0.5, 1.0, 2.0)},
}


def curves(schedule: Schedule) -> np.ndarray:
    """a_t of every word, (T + 1, V)."""
    alpha = schedule.alpha_bar_of_vocabulary(torch.arange(NUM_STEPS + 1))
    return alpha.expand(-1, NUM_WORDS + 1)[:, :NUM_WORDS].numpy()


def step_matrix(alpha_s: np.ndarray, alpha_t: np.ndarray) -> np.ndarray:
    """q(x_t | x_s): a word is kept with a_t / a_s and is [MASK] otherwise; [MASK] stays."""
    matrix = np.zeros((NUM_WORDS + 1, NUM_WORDS + 1))
    matrix[MASK, MASK] = 1.0
    for v in range(NUM_WORDS):
        matrix[v, v] = alpha_t[v] / alpha_s[v] if alpha_s[v] > 0 else 0.0
        matrix[v, MASK] = 1 - matrix[v, v]
    return matrix


@pytest.mark.parametrize("name", SCHEDULES)
def test_products_of_step_matrices_are_the_marginals(name: str) -> None:
    alpha = curves(SCHEDULES[name])
    product = np.eye(NUM_WORDS + 1)
    for t in range(1, NUM_STEPS + 1):
        matrix = step_matrix(alpha[t - 1], alpha[t])
        assert matrix.min() >= 0, "a transition of negative probability"
        np.testing.assert_allclose(matrix.sum(1), 1)
        product = product @ matrix
        np.testing.assert_allclose(np.diag(product)[:NUM_WORDS], alpha[t], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(product[:NUM_WORDS, MASK], 1 - alpha[t], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_posteriors_are_bayes(name: str) -> None:
    """q(x_s | x_t, x_0) is q(x_t | x_s) q(x_s | x_0) / q(x_t | x_0), for every s < t: strides included."""
    alpha = curves(SCHEDULES[name])
    products = [np.eye(NUM_WORDS + 1)]
    for t in range(1, NUM_STEPS + 1):
        products.append(products[-1] @ step_matrix(alpha[t - 1], alpha[t]))
    for s, t in itertools.combinations(range(NUM_STEPS + 1), 2):
        between = np.linalg.multi_dot(
            [np.eye(NUM_WORDS + 1), *(step_matrix(alpha[u - 1], alpha[u]) for u in range(s + 1, t + 1))]
        )
        revealed = reveal_probability(torch.from_numpy(alpha[s]), torch.from_numpy(alpha[t])).numpy()
        stays = stay_probability(torch.from_numpy(alpha[s]), torch.from_numpy(alpha[t])).numpy()
        for v in range(NUM_WORDS):
            if alpha[t][v] == 1:
                continue  # the word cannot be [MASK] at t: there is no posterior
            joint = products[s][v] * between[:, MASK]
            bayes = joint / joint.sum()
            np.testing.assert_allclose(bayes[v], revealed[v], rtol=1e-10, atol=1e-13)
            np.testing.assert_allclose(bayes[MASK], stays[v], rtol=1e-10, atol=1e-13)
            assert bayes.sum() == pytest.approx(bayes[v] + bayes[MASK])


def test_the_linear_schedule_is_d3pms_beta() -> None:
    """beta_t = 1/(T - t + 1) (Austin et al. 2021, mutual information for absorbing diffusion)."""
    alpha = curves(SCHEDULES["linear"])[:, 0]
    for t in range(1, NUM_STEPS + 1):
        assert 1 - alpha[t] / alpha[t - 1] == pytest.approx(1 / (NUM_STEPS - t + 1), rel=1e-12)
