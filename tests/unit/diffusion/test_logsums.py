"""Weighted log-sums against torch.logsumexp, their gradient against autograd's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from diffusionbert.diffusion.logsums import weighted_log_sums

ROWS = torch.tensor([3, 0, 5, 1])


def naive(logits: Tensor, weights: Tensor, rows: Tensor) -> Tensor:
    """logsumexp(logit + ln w), row by row in float64."""
    spread = weights.double().repeat_interleave(rows, dim=0)
    return torch.stack([torch.logsumexp(logits.double() + spread[:, k].log(), -1) for k in range(weights.shape[1])], -1)


def case(vocabulary: int = 50, columns: int = 2, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(vocabulary + columns)
    logits = scale * torch.randn(int(ROWS.sum()), vocabulary, generator=generator, dtype=torch.float64)
    weights = torch.rand(len(ROWS), columns, vocabulary, generator=generator, dtype=torch.float64)
    weights[weights < 0.3] = 0.0
    return logits, weights


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("columns", [1, 2, 3])
def test_equals_logsumexp(dtype: torch.dtype, columns: int) -> None:
    logits, weights = case(columns=columns)
    logits = logits.to(dtype)
    sums = weighted_log_sums(logits, weights, ROWS)
    assert sums.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    torch.testing.assert_close(sums.double(), naive(logits, weights, ROWS), rtol=tolerance, atol=tolerance)


def test_one_group_shares_its_weights() -> None:
    logits, weights = case()
    sums = weighted_log_sums(logits, weights[:1], ROWS.sum()[None])
    torch.testing.assert_close(sums, naive(logits, weights[:1], ROWS.sum()[None]), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rows_that_underflow_are_computed_in_log_space(dtype: torch.dtype) -> None:
    logits, weights = case()
    logits, weights = logits.to(dtype), weights.clone()
    weights[0, :, 7] = 0.0
    logits[0, 7] = 5000.0  # all that carries weight lies 5000 nats below the largest logit
    logits[1, 7] = 80.0  # in float32 the sum is small but whole
    sums = weighted_log_sums(logits, weights, ROWS)
    expected = naive(logits, weights, ROWS)
    assert bool(expected.isfinite().all())
    torch.testing.assert_close(sums.double(), expected, rtol=2e-6, atol=2e-6)


def test_tiny_weights_are_not_lost() -> None:
    logits = torch.zeros(1, 3)
    weights = torch.tensor([[[1e-36, 0.0, 2e-36]]], dtype=torch.float64)
    sums = weighted_log_sums(logits, weights, torch.tensor([1]))
    assert float(sums) == pytest.approx(math.log(3e-36), rel=1e-5)


def test_weights_of_zero_give_minus_infinity_and_no_gradient() -> None:
    logits, weights = case()
    weights[2, 1] = 0.0
    logits[4, :] -= 5.0
    logits[4, 7] = 2000.0  # an underflowing row of that group as well
    weights[2, 0, 7] = 0.0
    logits.requires_grad_()
    sums = weighted_log_sums(logits, weights, ROWS)
    assert bool((sums[3:8, 1] == -math.inf).all())
    assert bool(sums[:, 0].isfinite().all())
    (gradient,) = torch.autograd.grad(sums[:, 0].sum(), logits, retain_graph=True)
    assert bool(gradient.isfinite().all())
    (gradient,) = torch.autograd.grad(sums[sums.isfinite()].sum(), logits, retain_graph=True)
    assert bool(gradient.isfinite().all())
    (gradient,) = torch.autograd.grad(sums[3:8, 1].sum(), logits)
    assert not gradient.any()


@pytest.mark.parametrize("underflow", [False, True])
def test_gradient(underflow: bool) -> None:
    logits, weights = case(vocabulary=6)
    if underflow:
        weights[..., 2] = 0.0
        logits[[0, 5], 2] = 900.0
        weights[..., 3] = 0.5  # every weight vector keeps something
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: weighted_log_sums(x, weights, ROWS), logits)
    upstream = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (ours,) = torch.autograd.grad((weighted_log_sums(logits, weights, ROWS) * upstream).sum(), logits)
    (theirs,) = torch.autograd.grad((naive(logits, weights, ROWS) * upstream).sum(), logits)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient_has_the_dtype_of_the_logits(dtype: torch.dtype) -> None:
    logits, weights = case()
    low = logits.to(dtype).requires_grad_()
    (ours,) = torch.autograd.grad(weighted_log_sums(low, weights, ROWS).sum(), low)
    assert ours.dtype == dtype
    reference = low.detach().double().requires_grad_()
    (theirs,) = torch.autograd.grad(naive(reference, weights, ROWS).sum(), reference)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance * 0.01)


def test_no_rows() -> None:
    sums = weighted_log_sums(torch.zeros(0, 5), torch.ones(2, 3, 5), torch.tensor([0, 0]))
    assert sums.shape == (0, 3)


def test_autocast_lowers_no_precision() -> None:
    logits, weights = case(vocabulary=3000, columns=2)
    logits = logits.float().requires_grad_()
    expected = naive(logits.detach(), weights, ROWS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sums = weighted_log_sums(logits, weights, ROWS)
        (gradient,) = torch.autograd.grad(sums.sum(), logits)
    torch.testing.assert_close(sums.double(), expected, rtol=2e-6, atol=2e-6)
    (full,) = torch.autograd.grad(weighted_log_sums(logits, weights, ROWS).sum(), logits)
    torch.testing.assert_close(gradient, full, rtol=1e-6, atol=1e-9)
