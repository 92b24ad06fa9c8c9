"""Drawing tokens from the prediction: temperature, schedule factor, truncation, then one float64 draw.

The order is fixed: temperature on the logits, the schedule factor, renormalise, top-k or nucleus, renormalise. It is
applied to the prediction of x0 alone, never to a posterior that contains [MASK] (as the released code does, which
inflates [MASK]). Draws are float64: float32 Gumbel draws silently sharpen the distribution (arXiv 2409.02908).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusionbert.shapes import Bool, Float, Int

# Scores that are held at one time: a few MB on a CPU, whose caches are small, so that truncation finds them there.
SCORES_AT_ONCE = {"cpu": 1 << 21}
SCORES_ELSEWHERE = 1 << 28
GROUP = 64  # scores whose maximum is looked at first when the largest few are sought


@dataclass(frozen=True)
class Truncation:
    """A finite temperature > 0; top_k keeps the k likeliest tokens, top_p the fewest with this mass; None keeps all."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}; expected a finite number > 0")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; expected at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; expected a number in (0, 1]")


def draw_tokens(
    logits: Float[Tensor, "M V"],
    log_weights: Float[Tensor, "G V"],
    candidates: Bool[Tensor, V],
    truncation: Truncation,
    uniforms: Float[Tensor, M],
) -> tuple[Int[Tensor, M], Bool[Tensor, M]]:
    """One token per row from p~(v)^(1/temperature) w(v), truncated; and whether any weighted candidate was left.

    `log_weights` is (1, V), shared, or one row each (G = M); -inf removes a token. Where nothing is left the token is
    drawn from p~ over the candidates instead.
    """
    allowed = log_weights.to(logits.dtype).masked_fill(~candidates, -torch.inf)
    tokens, left = [], []
    for rows in _pieces(logits):
        weights = allowed if len(allowed) == 1 else allowed[rows]
        # every pass over all scores costs a sampler a twentieth of the network's call: one here, one to truncate
        scores = torch.add(weights, logits[rows], alpha=1 / truncation.temperature)
        kept, ids = _kept(scores, truncation)
        some = (kept.amax(-1) if ids is None else kept[:, 0]) > -torch.inf
        if not bool(some.all()):
            plain = (logits[rows] / truncation.temperature).masked_fill(~candidates, -torch.inf)
            kept, ids = _kept(torch.where(some[:, None], scores, plain), truncation)
        tokens.append(_inverse_cdf(kept, ids, truncation.top_p, uniforms[rows]))
        left.append(some)
    if not tokens:
        return torch.empty(0, dtype=torch.long, device=logits.device), torch.empty(0, dtype=torch.bool)
    return torch.cat(tokens), torch.cat(left)


def _pieces(logits: Tensor) -> Iterator[slice]:
    """The rows in pieces of a bounded number of scores."""
    most = max(1, SCORES_AT_ONCE.get(logits.device.type, SCORES_ELSEWHERE) // logits.shape[-1])
    for start in range(0, len(logits), most):
        yield slice(start, start + most)


def _kept(scores: Tensor, truncation: Truncation) -> tuple[Tensor, Tensor | None]:
    """The scores that truncation looks at, largest first, and their ids; all scores as they stand without one."""
    if truncation.top_k is None and truncation.top_p is None:
        return scores, None
    width = scores.shape[-1]
    return largest(scores, min(truncation.top_k or width, width))


def largest(scores: Float[Tensor, "M V"], num: int) -> tuple[Float[Tensor, "M k"], Int[Tensor, "M k"]]:
    """The `num` largest scores of every row, largest first, and their places: as `topk`, in half the time on a CPU.

    They lie in the `num` groups of the largest maxima, or in those of equal ones.
    """
    num_groups = scores.shape[-1] // GROUP
    if num >= num_groups:
        kept, places = scores.topk(num, dim=-1)
        return kept, places
    grouped = scores[:, : num_groups * GROUP].view(len(scores), num_groups, GROUP)
    chosen = grouped.amax(-1).topk(num, dim=-1).indices
    inside = chosen[..., None] * GROUP + torch.arange(GROUP, device=scores.device)
    rest = torch.arange(num_groups * GROUP, scores.shape[-1], device=scores.device).expand(len(scores), -1)
    places = torch.cat([inside.flatten(1), rest], -1)
    kept, order = scores.gather(-1, places).topk(num, dim=-1)
    return kept, places.gather(-1, order)


def _inverse_cdf(kept: Tensor, ids: Tensor | None, top_p: float | None, uniforms: Tensor) -> Tensor:
    """The token at which the cumulative truncated mass passes u of the whole; (M,)."""
    mass = (kept - kept.amax(-1, keepdim=True)).exp_()
    cumulative = mass.cumsum(-1, dtype=torch.float64)
    if top_p is not None:
        mass = torch.where(cumulative - mass < top_p * cumulative[:, -1:], mass, 0.0)
        cumulative = mass.cumsum(-1, dtype=torch.float64)
    whole = cumulative[:, -1:]
    # the first entry whose cumulative mass exceeds u of the whole (right=True), so that an entry of mass 0 is never
    # chosen; and u < 1, whatever the product is rounded to
    threshold = torch.minimum(
        uniforms.to(whole.device)[:, None] * whole, torch.nextafter(whole, torch.zeros_like(whole))
    )
    position = torch.searchsorted(cumulative, threshold, right=True)
    return (position if ids is None else ids.gather(-1, position)).squeeze(-1)
