"""Drawing tokens from the prediction: temperature, schedule factor, truncation, then one float64 draw.

The order is fixed: temperature on the logits, the schedule factor, renormalise, top-k or nucleus, renormalise. It is
applied to the prediction of x0 alone, never to a posterior that contains [MASK] (as the released code does, which
inflates [MASK]). Draws are float64: float32 Gumbel draws silently sharpen the distribution (arXiv 2409.02908).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from diffusionbert.shapes import Bool, Float, Int

ROWS_AT_ONCE = 512  # rows whose float64 copy over the whole vocabulary is held at one time


@dataclass(frozen=True)
class Truncation:
    """Temperature > 0; top_k keeps the k likeliest tokens, top_p the fewest that hold this mass; None keeps all."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; expected a number > 0")
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
    for start in range(0, len(logits), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        weights = allowed if len(allowed) == 1 else allowed[rows]
        # every pass over all scores costs a sampler a twentieth of the network's call: one here, one to truncate
        scores = torch.add(weights, logits[rows], alpha=1 / truncation.temperature)
        kept, ids = _kept(scores, truncation)
        some = (kept.amax(-1) if ids is None else kept[:, 0]) > -torch.inf
        if not bool(some.all()):
            plain = (logits[rows] / truncation.temperature).masked_fill(~candidates, -torch.inf)
            kept, ids = _kept(torch.where(some[:, None], scores, plain), truncation)
        tokens.append(_inverse_cdf(kept, ids, truncation, uniforms[rows]))
        left.append(some)
    if not tokens:
        return torch.empty(0, dtype=torch.long, device=logits.device), torch.empty(0, dtype=torch.bool)
    return torch.cat(tokens), torch.cat(left)


def _kept(scores: Tensor, truncation: Truncation) -> tuple[Tensor, Tensor | None]:
    """The scores that truncation looks at, largest first, and their ids; all scores as they stand without one."""
    if truncation.top_k is None and truncation.top_p is None:
        return scores, None
    width = scores.shape[-1]
    kept, ids = scores.topk(min(truncation.top_k or width, width), dim=-1)
    return kept, ids


def _inverse_cdf(kept: Tensor, ids: Tensor | None, truncation: Truncation, uniforms: Tensor) -> Tensor:
    """The token at which the cumulative truncated probability passes u; (M,)."""
    probability = torch.softmax(kept.double(), -1)
    if truncation.top_p is not None:
        before = probability.cumsum(-1) - probability
        probability = torch.where(before < truncation.top_p, probability, 0.0)
    cumulative = probability.cumsum(-1)
    threshold = uniforms.to(cumulative.device)[:, None] * cumulative[:, -1:]
    # right=True: the first entry whose cumulative mass exceeds u, so that an entry of mass 0 is never chosen
    position = torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)
    last = (probability > 0).long().mul(torch.arange(1, kept.shape[-1] + 1, device=kept.device)).amax(-1) - 1
    position = torch.minimum(position, last)
    return position if ids is None else ids.gather(-1, position[:, None]).squeeze(-1)
