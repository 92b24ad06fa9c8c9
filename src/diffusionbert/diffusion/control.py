"""A control variate for the estimated bound: how often each token was counted, which is known beforehand.

Summed over all steps a token is revealed once: sum_t (1 - a_t) r_t = 1. An estimate from a few steps counts one token
twice and another not at all, and most of its variance is that. So beside the terms stands

    sum over masked i of r_i H(x0_i),

what they would be if every token cost its information under the corpus' token frequencies. Its expectation over all
steps is known, so that the estimate minus it plus the expectation has the same mean and a smaller variance. The
figure stays an unbiased estimate of the same bound, whatever H is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionbert.diffusion.schedules import ReleasedSpindle, Schedule, reveal_probability, reveal_rate
from diffusionbert.shapes import Bool, Float, Int


def control(
    schedule: Schedule,
    x0: Int[Tensor, "B L"],
    counted: Bool[Tensor, "B L"],
    s: Tensor,
    t: Tensor,
    uniforms: Float[Tensor, "B L"],
    information: Float[Tensor, V],
    *,
    continuous: bool,
) -> Float[Tensor, B]:
    """The control of one draw, s -> t or at one real t, per sentence; `information` in nats, NaN where not defined."""
    if continuous and isinstance(schedule, ReleasedSpindle):
        return _none(x0)  # its expectation would be an integral without a closed form
    mean = schedule.sentence_mean(x0, counted)
    alpha_t = schedule.alpha_bar(t, x0, mean)
    if continuous:
        weight = reveal_rate(alpha_t, schedule.decay(t, x0, mean))
    else:
        weight = _reveal(schedule, s, t, schedule.alpha_bar(s, x0, mean), alpha_t)
    return torch.where((uniforms > alpha_t) & counted, weight * information[x0].nan_to_num(0.0), 0.0).sum(-1)


def expected_control(
    schedule: Schedule,
    x0: Int[Tensor, "B L"],
    counted: Bool[Tensor, "B L"],
    information: Float[Tensor, V],
    grid: Sequence[int],
    *,
    continuous: bool,
) -> Float[Tensor, B]:
    """The sum of the control's expectations over the steps of the grid, or over all real t."""
    if continuous and isinstance(schedule, ReleasedSpindle):
        return _none(x0)
    costs = torch.where(counted, information[x0].nan_to_num(0.0), 0.0)
    if not isinstance(schedule, ReleasedSpindle):
        return costs.sum(-1)
    # the release's posterior does not follow from its marginals: a token's weights add up to something else than 1
    mean, times = schedule.sentence_mean(x0, counted), torch.zeros_like(costs)
    for place in range(1, len(grid)):
        s, t = (torch.full((len(x0),), grid[each], device=x0.device) for each in (place - 1, place))
        alpha_s, alpha_t = schedule.alpha_bar(s, x0, mean), schedule.alpha_bar(t, x0, mean)
        times += (1 - alpha_t) * _reveal(schedule, s, t, alpha_s, alpha_t)
    return (times * costs).sum(-1)


def _reveal(schedule: Schedule, s: Tensor, t: Tensor, alpha_s: Tensor, alpha_t: Tensor) -> Float[Tensor, "B L"]:
    """The probability that a [MASK] of t is revealed, as the protocol of this schedule has it."""
    if isinstance(schedule, ReleasedSpindle):
        return schedule.reveal_probability(s, t, alpha_s)
    return reveal_probability(alpha_s, alpha_t)


def _none(x0: Tensor) -> Float[Tensor, B]:
    return torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
