"""The control variate: its expectation is what it says, for every schedule."""

from __future__ import annotations

import math

import pytest
import torch

from diffusionbert.diffusion.control import control, expected_control
from diffusionbert.diffusion.schedules import Cosine, Linear, ReleasedSpindle, Schedule, Spindle

T = 8
INFORMATION = torch.tensor([math.nan, 0.5, 2.0, 6.0, 9.0], dtype=torch.float64)
FREQUENCY = torch.tensor([0.0, 1.0, 0.8, 0.3, 0.1], dtype=torch.float64)
SCHEDULES = [
    Linear(T),
    Cosine(T),
    Spindle(T, INFORMATION, 0.3, "corpus", 3.0),
    Spindle(T, INFORMATION, 2.0, "corpus", 3.0),
    Spindle(T, INFORMATION, 0.5, "sentence"),
    ReleasedSpindle(T, FREQUENCY, 0.0),
    ReleasedSpindle(T, FREQUENCY, 0.5),
]
X0 = torch.tensor([[1, 2, 3, 4], [4, 4, 1, 0]])
COUNTED = torch.tensor([[True] * 4, [True, True, True, False]])
PIECES = 20_000


def _mean_over_noise(schedule: Schedule, s: float, t: float, *, continuous: bool) -> torch.Tensor:
    """The control's mean over evenly spaced uniforms, the same at every position: it adds up over positions."""
    total = torch.zeros(len(X0), dtype=torch.float64)
    for row in range(len(X0)):
        uniforms = ((torch.arange(PIECES, dtype=torch.float64) + 0.5) / PIECES)[:, None].expand(PIECES, X0.shape[1])
        many = (X0[row].expand(PIECES, -1), COUNTED[row].expand(PIECES, -1))
        steps = (torch.full((PIECES,), s), torch.full((PIECES,), t))
        total[row] = control(schedule, *many, *steps, uniforms, INFORMATION, continuous=continuous).mean()
    return total


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("stride", [1, 4])
def test_the_expectation_over_all_steps(schedule: Schedule, stride: int) -> None:
    grid = list(range(0, T + 1, stride))
    found = sum(_mean_over_noise(schedule, s, s + stride, continuous=False) for s in grid[:-1])
    expected = expected_control(schedule, X0, COUNTED, INFORMATION, grid, continuous=False)
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=0)
    if not isinstance(schedule, ReleasedSpindle):  # every token is revealed once
        costs = torch.where(COUNTED, INFORMATION[X0].nan_to_num(0.0), 0.0).sum(-1)
        torch.testing.assert_close(expected, costs)


@pytest.mark.parametrize("schedule", [Linear(T), Cosine(T), SCHEDULES[2]], ids=lambda each: type(each).__name__)
def test_the_expectation_over_all_times(schedule: Schedule) -> None:
    times = (torch.arange(400) + 0.5) / 400 * T
    found = sum(_mean_over_noise(schedule, 0.0, float(t), continuous=True) for t in times) * T / 400
    expected = expected_control(schedule, X0, COUNTED, INFORMATION, [], continuous=True)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0)


def test_the_releases_has_none_in_continuous_time() -> None:
    released = SCHEDULES[-1]
    assert not _mean_over_noise(released, 0.0, 3.0, continuous=True).any()
    assert not expected_control(released, X0, COUNTED, INFORMATION, [], continuous=True).any()
