"""The bound in continuous time: T to infinity, where a step becomes a rate.

With rho(v) = -a'(v) / (1 - a(v)) the rate at which the forward process, run backwards, reveals a masked v:

    NELBO = integral over t of E_q sum_{i masked} [ rho(x0) (-ln p~_t(x0))                 reveal term
                                                    + sum_v p~_t(v) rho(v) - rho(x0) ]     timing term

(the divergence of two jump processes). Functions return the integrand at one real t per sentence, with x_t drawn at
that t: its mean over t, times the length of the range, is the bound. It is finite because of the schedule factor in
p~_t. `Step.t` is real in (0, T] here, and `Step.s` is not read.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionbert.diffusion.bound import (
    MIXED_IN,
    Step,
    Terms,
    believed_alpha_bar,
    estimated_mean,
    negative_log_prediction,
)
from diffusionbert.diffusion.logsums import log_sums_and_targets
from diffusionbert.diffusion.schedules import ReleasedSpindle, Schedule, reveal_rate
from diffusionbert.shapes import Float


def continuous_terms(step: Step, schedule: Schedule) -> Terms:
    """The integrand of the continuous-time bound, per step of T and per sentence, in nats.

    Under a sentence mean the model believes rates rho^ of its own, from the estimated mean, and the reveal term is
    rho(x0) ln(rho(x0) / (p~_t(x0) rho^(x0))): still a bound.
    """
    rate = _rate_of_targets(step, schedule)
    if schedule.token_independent:
        # the factor cancels and every token's rate is the same: nothing is paid for the timing
        return Terms(step.per_sentence(rate * negative_log_prediction(step)), _nothing(step))
    hidden, decay = _believed(step, schedule)
    weights = torch.stack([hidden, decay], 1) * step.candidates
    log_sums, target_logits = log_sums_and_targets(step.logits, weights, step.rows_per_sentence, step.targets)
    log_z, log_decay = log_sums.unbind(-1)
    sentence = step.masked.nonzero()[:, 0]
    hidden, decay = hidden[sentence, step.targets], decay[sentence, step.targets]

    # rate 0 drops the reveal term: by selection before any gradient, never by masking after
    some = rate > 0
    naming = log_z - target_logits - hidden.log()
    believing = rate[some].log() - reveal_rate(1 - hidden[some], decay[some]).log()
    reveal = torch.zeros_like(rate).masked_scatter(some, rate[some] * (naming[some] + believing))
    return Terms(step.per_sentence(reveal), step.per_sentence((log_decay - log_z).exp() - rate))


def continuous_oracle_terms(step: Step, schedule: Schedule) -> Terms:
    """`oracle` in continuous time: rho(x0) (-ln p~(x0)), rho that of the true token. Not a bound for lambda > 0."""
    rate = _rate_of_targets(step, schedule)
    return Terms(step.per_sentence(rate * negative_log_prediction(step)), _nothing(step))


def continuous_released_terms(step: Step, schedule: ReleasedSpindle) -> Terms:
    """`released` in continuous time: its posterior beta k / (beta k + 1 - k) per step, with beta = dt / (T - t).

    Its cap keeps 0.001 of every token [MASK] down to t = 0, where k jumps to 1: the last of T steps has a term of 0.001
    (-ln p~) for it once T > 1000, which a rate cannot have and this leaves out.
    """
    mean = schedule.sentence_mean(step.x0, step.counted)
    keep = schedule.alpha_bar(step.t, step.x0, mean)
    left = (schedule.num_steps - step.t.double()).unsqueeze(-1)
    # k_T is 0 by assignment, and so is its rate there
    rate = torch.where(left > 0, keep / ((1 - keep) * torch.where(left > 0, left, 1.0)), 0.0)[step.masked]
    return Terms(step.per_sentence(rate * negative_log_prediction(step).double()), _nothing(step))


def _rate_of_targets(step: Step, schedule: Schedule) -> Float[Tensor, M]:
    """rho of the true token at every masked position, from its own sentence's mean."""
    mean = schedule.sentence_mean(step.x0, step.counted)
    alpha = schedule.alpha_bar(step.t, step.x0, mean)[step.masked]
    return reveal_rate(alpha, schedule.decay(step.t, step.x0, mean)[step.masked])


def _believed(step: Step, schedule: Schedule) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B V"]]:
    """1 - a and -a' of every token as the model may know them: exact, or from the estimated sentence mean."""
    if not schedule.uses_sentence_mean:
        return 1 - schedule.alpha_bar_of_vocabulary(step.t), schedule.decay_of_vocabulary(step.t)
    mean = estimated_mean(step, schedule)
    decay = (1 - MIXED_IN) * schedule.decay_of_vocabulary(step.t, mean) + MIXED_IN / schedule.num_steps
    return 1 - believed_alpha_bar(schedule, step.t, mean), decay


def _nothing(step: Step) -> Tensor:
    return torch.zeros(len(step.x0), dtype=torch.float64, device=step.x0.device)
