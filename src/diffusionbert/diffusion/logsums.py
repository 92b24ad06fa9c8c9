"""ln sum_v w(v) exp(logit(v)) for a few weight vectors a sentence, without an array beyond the logits' own size.

The bound needs ln Z_t and ln Z_s at every masked position: two sums over the vocabulary with weights that depend on
the sentence (its t, its Hbar) and not on the position. One exponential of the logits and one thin matrix product per
sentence give both, and their gradient costs the same again.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from diffusionbert.shapes import Float, Int

# Below this share of the largest term a float32 sum may have lost everything that carries weight: such rows are
# computed again in log space.
SMALLEST_SAFE_SUM = 1e-30


def weighted_log_sums(
    logits: Float[Tensor, "M V"], weights: Float[Tensor, "G V k"], rows_per_group: Int[Tensor, G]
) -> Float[Tensor, "M k"]:
    """ln sum_v w_g(v) exp(logit_i(v)) for each row i of group g and each of its k weight vectors.

    Rows stand group after group, `rows_per_group` of them each (a group is a sentence; G = 1 shares the weights).
    Weights are >= 0. A weight vector that is 0 everywhere gives -inf and passes no gradient.
    """
    sums: Tensor = _WeightedSums.apply(logits, weights.to(_working_dtype(logits)), rows_per_group)  # type: ignore[no-untyped-call]
    possible = (weights.amax(1) > 0).repeat_interleave(rows_per_group, dim=0)
    lost = ((sums < SMALLEST_SAFE_SUM) & possible).any(-1)
    largest = logits.detach().amax(-1, keepdim=True).to(sums.dtype)
    log_sums = torch.where(possible, torch.where(possible & ~lost[:, None], sums, 1.0).log() + largest, -torch.inf)
    if bool(lost.any()):
        group = torch.arange(len(rows_per_group), device=logits.device).repeat_interleave(rows_per_group)[lost]
        exact = _in_log_space(logits[lost], weights[group], possible[lost])
        log_sums = log_sums.index_put((lost.nonzero().squeeze(-1),), exact.to(log_sums.dtype))
    return log_sums


def _working_dtype(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _in_log_space(logits: Tensor, weights: Tensor, possible: Tensor) -> Tensor:
    """The same for the few rows that underflow: (m, V), (m, V, k) -> (m, k), one weight vector at a time."""
    columns = []
    for column in range(weights.shape[-1]):
        terms = logits.double() + weights[:, :, column].double().log()
        # an impossible row would give NaN gradients through logsumexp of -inf alone: give it finite terms, then drop
        terms = torch.where(possible[:, column, None], terms, 0.0)
        columns.append(torch.where(possible[:, column], torch.logsumexp(terms, -1), -torch.inf))
    return torch.stack(columns, -1)


class _WeightedSums(torch.autograd.Function):
    """sum_v w(v) exp(logit(v) - max logit), with the gradient with respect to the logits as if max were constant."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, weights: Tensor, rows_per_group: Tensor) -> Tensor:
        exponentials = (logits.to(weights.dtype) - logits.amax(-1, keepdim=True)).exp_()
        sums = exponentials.new_empty(len(logits), weights.shape[-1])
        bounds = _bounds(rows_per_group, len(weights))
        for group, (start, stop) in enumerate(pairwise(bounds)):
            torch.mm(exponentials[start:stop], weights[group], out=sums[start:stop])
        ctx.save_for_backward(exponentials, weights)
        ctx.bounds, ctx.dtype = bounds, logits.dtype
        return sums

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        exponentials, weights = ctx.saved_tensors
        (gradient,) = gradients
        result = torch.empty_like(exponentials)
        for group, (start, stop) in enumerate(pairwise(ctx.bounds)):
            torch.mm(gradient[start:stop], weights[group].T, out=result[start:stop])
        return result.mul_(exponentials).to(ctx.dtype), None, None


def _bounds(rows_per_group: Tensor, num_groups: int) -> list[int]:
    assert len(rows_per_group) == num_groups, "one row count for each group of weights"
    return [0, *rows_per_group.cumsum(0).tolist()]
