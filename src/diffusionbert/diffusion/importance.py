"""Importance weights of forward trajectories: a bound on -ln p(x0) that tightens with their number.

    w = p_theta(x_{0:T}) / q(x_{1:T} | x0),    E_q[w] <= p_theta(x0),    E_q[-ln w] = the NELBO,
    E_q[-ln (1/K) sum_k w_k] falls with K and never below -ln p_theta(x0)      (Burda et al. 1509.00519)

(E_q[w] is p_theta(x0) itself unless the model, which may have to estimate its schedule, takes ways that q does not.)

All factors of all steps count, also those of positions that stay masked. But while x_t does not change, a
time-agnostic denoiser's factors telescope: with Z and 1 - a at the first and at the last step of such a stretch,

    a position that stays masked to its end s    Z_s / Z_t  over  (1 - a_s(x0)) / (1 - a_t(x0))
    one that is revealed in its last step        p~(x0) (a^_s' - a^_s)(x0) / Z_t  over  (a_s' - a_s)(x0) / (1 - a_t(x0))

so that a trajectory costs one call for every moment at which something is revealed: at most n, whatever T is. For a
schedule that looks at no token only the revealed positions count, also with a denoiser that is told the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionbert.diffusion.bound import MIXED_IN, Step, believed_alpha_bar, estimated_mean, negative_log_prediction
from diffusionbert.diffusion.logsums import log_sums_and_targets
from diffusionbert.diffusion.sampling import Predictor
from diffusionbert.diffusion.schedules import Schedule
from diffusionbert.shapes import Bool, Float, Int


def hitting_places(
    schedule: Schedule,
    x0: Int[Tensor, "B L"],
    counted: Bool[Tensor, "B L"],
    grid: Sequence[int],
    uniforms: Float[Tensor, "B L"],
) -> Int[Tensor, "B L"]:
    """The place in the grid, 1..K, of the first step at which a position is [MASK] (U > a_t); 0 where not counted."""
    mean = schedule.sentence_mean(x0, counted)
    place = torch.zeros_like(x0)
    for t in grid:
        steps = torch.full((len(x0),), t, device=x0.device)
        place += uniforms <= schedule.alpha_bar(steps, x0, mean)
    return torch.where(counted, place.clamp(1, len(grid) - 1), 0)


@torch.no_grad()
def trajectory_log_weights(
    predictor: Predictor,
    schedule: Schedule,
    x0: Int[Tensor, "B L"],
    lengths: Int[Tensor, B],
    candidates: Bool[Tensor, V],
    mask_id: int,
    grid: Sequence[int],
    uniforms: Float[Tensor, "B L"],
    *,
    given: Int[Tensor, B] | None = None,
) -> Float[Tensor, B]:
    """ln w of one trajectory per sentence, drawn by its uniforms, for the model of the grid's steps, with the factor.

    Sentences advance together, each at its own step; of each so many leading tokens are `given`. Float64 nats.
    """
    position = torch.arange(x0.shape[1], device=x0.device)
    counted = position < lengths[:, None]
    if given is not None:
        counted &= position >= given[:, None]
    place = hitting_places(schedule, x0, counted, grid, uniforms)
    steps = torch.tensor(grid, device=x0.device)
    log_weights = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    start = torch.full_like(lengths, len(grid) - 1)
    telescopes = predictor.time_agnostic or schedule.token_independent
    while bool((place > 0).any()):
        # a stretch goes from the state at `start` to the step that reveals, or is a single step; a sentence that is
        # done takes part with no masked position
        last = place.amax(-1).clamp(min=1)
        end = last if telescopes else start
        masked = place > 0
        revealed = masked & (place == end[:, None])
        xt = torch.where(masked, mask_id, x0)
        told = steps[end if schedule.token_independent else start]
        hidden = predictor.encode(xt, lengths, told)
        asked = revealed if schedule.token_independent else masked
        step = Step(x0, counted, asked, steps[end - 1], steps[start], predictor.predict(hidden, asked), candidates)
        if schedule.token_independent:
            log_weights -= step.per_sentence(negative_log_prediction(step))
        else:
            log_weights += step.per_sentence(_factors(step, schedule, steps[end], revealed[asked]))
        place = torch.where(revealed, 0, place)
        start = (end - 1).clamp(min=1)
    return log_weights


def _factors(step: Step, schedule: Schedule, last: Int[Tensor, B], revealed: Bool[Tensor, M]) -> Float[Tensor, M]:
    """ln of each masked position's factor over the stretch step.t ... last, step.s; the last of its steps reveals."""
    mean = schedule.sentence_mean(step.x0, step.counted)
    times = (step.t, last, step.s)
    first, before, after = (schedule.alpha_bar(t, step.x0, mean)[step.masked] for t in times)
    believed = estimated_mean(step, schedule) if schedule.uses_sentence_mean else None
    hidden_first, hidden_after = (1 - _of_vocabulary(schedule, t, believed) for t in (step.t, step.s))
    weights = torch.stack([hidden_first, hidden_after], 1) * step.candidates
    log_sums, logits = log_sums_and_targets(step.logits, weights, step.rows_per_sentence, step.targets)
    log_z_first, log_z_after = log_sums.double().unbind(-1)
    shift = 0.0 if believed is None else _believed_fall(step, schedule, last, believed).log() - (after - before).log()
    ours = torch.where(revealed, logits.double() + shift, log_z_after - (1 - after).log())
    return ours - log_z_first + (1 - first).log()


def _of_vocabulary(schedule: Schedule, t: Tensor, mean: Tensor | None) -> Float[Tensor, "B V"]:
    return schedule.alpha_bar_of_vocabulary(t) if mean is None else believed_alpha_bar(schedule, t, mean)


def _believed_fall(step: Step, schedule: Schedule, last: Int[Tensor, B], mean: Float[Tensor, B]) -> Float[Tensor, M]:
    """a^_s - a^_last of the true tokens, as the model believes it: never 0, thanks to the linear share."""
    fall = schedule.alpha_bar(step.s, step.x0, mean) - schedule.alpha_bar(last, step.x0, mean)
    linear = (last - step.s).double().unsqueeze(-1) / schedule.num_steps
    return ((1 - MIXED_IN) * fall + MIXED_IN * linear)[step.masked]


def importance_bound(log_weights: Float[Tensor, "K B"]) -> Float[Tensor, B]:
    """-ln (1/K) sum_k w_k, nats; K = 1 is one draw of the plain bound."""
    return math.log(len(log_weights)) - torch.logsumexp(log_weights, 0)
