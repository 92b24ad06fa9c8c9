"""What each protocol reports, exactly, for a denoiser that knows a source of independent tokens: no sampling.

At step t a token v is [MASK] with probability p(v)(1 - a_t(v)), and is revealed with r_t(v), so that per token

    oracle, released   sum_t sum_v p(v)(1 - a_t(v)) r_t(v) (-ln p~_t(v))
    valid              the same with section 3's p~_t and R, plus (1 - r_t) ln((1 - r_t)/(1 - R_t))

and a bound is never below the entropy. Two denoisers are told apart. The *true posterior*, p(v)(1 - a_t(v))/Z_t, is
what a masked position holds. The *own minimiser* of `oracle` and `released`, p(v)(1 - a_t(v)) r_t(v)/Z, is what their
objective rewards (Gibbs' inequality, step by step): which token would be revealed at this very step. Under `valid`
the two are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from diffusionbert.audit.sources import Source
from diffusionbert.diffusion.schedules import (
    ReleasedSpindle,
    Spindle,
    log_frequency,
    reveal_probability,
)
from diffusionbert.shapes import Float, Int

Denoiser = Literal["true_posterior", "own_minimiser"]
DENOISERS: tuple[Denoiser, ...] = ("true_posterior", "own_minimiser")
ENTRIES_AT_ONCE = 1 << 17  # of the arrays of steps by vocabulary, so that they stay in the processor's cache


@dataclass(frozen=True, eq=False)
class CentredRelease(ReleasedSpindle):
    """The release's schedule with w centred by its expectation, which a long sentence's mean tends to."""

    mean_frequency: float = 0.0

    def sentence_mean(self, x0: Int[Tensor, "B L"], counted: Tensor) -> Float[Tensor, B]:
        return torch.full((len(x0),), self.mean_frequency, dtype=torch.float64, device=x0.device)


Process = Spindle | CentredRelease


def spindle_of(source: Source, num_steps: int, spindle_lambda: float) -> Spindle:
    """Eq. 10 to 12 with the corpus mean, which for a source is its entropy."""
    return Spindle(num_steps, source.information, spindle_lambda, "corpus", source.entropy)


def release_of(source: Source, num_steps: int, spindle_lambda: float, corpus_tokens: int) -> CentredRelease:
    """The release's schedule when it has counted c_v = N p(v) in a corpus of N tokens.

    Raises ValueError for a corpus so small that no token is counted.
    """
    counts = (corpus_tokens * source.probability).round().long()
    if not bool(counts.any()):
        raise ValueError(
            f"audit.corpus_tokens: found {corpus_tokens}; expected a corpus that has some token of '{source.name}' once"
        )
    frequency = log_frequency(counts)
    mean = float((source.probability * frequency).sum())
    return CentredRelease(num_steps, frequency, spindle_lambda, mean)


@dataclass(frozen=True)
class Steps:
    """A stretch of k steps s = t - 1 -> t; p(v) times what becomes of v, each (k, V)."""

    t: Int[Tensor, k]
    hidden: Tensor  # [MASK] at t
    revealed: Tensor  # and revealed in the step
    alpha_s: Tensor
    alpha_t: Tensor


def steps(source: Source, schedule: Process) -> Iterator[Steps]:
    """All T steps, a few at once."""
    p = source.probability
    at_once = max(1, ENTRIES_AT_ONCE // len(p))
    for first in range(1, schedule.num_steps + 1, at_once):
        t = torch.arange(first, min(first + at_once, schedule.num_steps + 1))
        any_token = torch.zeros(len(t), 1, dtype=torch.long)  # neither schedule here looks at the sentence
        mean = schedule.sentence_mean(any_token, any_token == 0)
        alpha_s = schedule.alpha_bar_of_vocabulary(t - 1, mean).expand(len(t), len(p))
        alpha_t = schedule.alpha_bar_of_vocabulary(t, mean).expand(len(t), len(p))
        if isinstance(schedule, ReleasedSpindle):
            reveal = schedule.reveal_probability(t - 1, t, alpha_s)
        else:
            reveal = reveal_probability(alpha_s, alpha_t)
        hidden = p * (1 - alpha_t)
        yield Steps(t, hidden, hidden * reveal, alpha_s, alpha_t)


def prediction(stretch: Steps, denoiser: Denoiser) -> Float[Tensor, "k V"]:
    """The distribution that a denoiser gives for a [MASK] at each step, 0 where it excludes a token.

    A step that reveals nothing rewards nothing: there the own minimiser is taken to be the true posterior.
    """
    weights = stretch.hidden
    if denoiser == "own_minimiser":
        weights = torch.where(stretch.revealed.sum(-1, keepdim=True) > 0, stretch.revealed, stretch.hidden)
    return weights / weights.sum(-1, keepdim=True)


def told_nats(source: Source, schedule: Process) -> dict[Denoiser, float]:
    """Nats per token of both denoisers under `oracle`, or under `released` where the schedule is the release's."""
    totals = dict.fromkeys(DENOISERS, 0.0)
    for stretch in steps(source, schedule):
        for denoiser in DENOISERS:
            totals[denoiser] -= float(torch.xlogy(stretch.revealed, prediction(stretch, denoiser)).sum())
    return totals


def valid_nats(source: Source, schedule: Spindle, denoiser: Denoiser) -> float:
    """Nats per token under `valid`, schedule factor included.

    `own_minimiser` is what minimises `oracle`, scored here: how good that denoiser really is. Infinite where it is
    certain of a reveal that may not happen.
    """
    total = 0.0
    for stretch in steps(source, schedule):
        # before the factor, the true posterior is p(v) itself
        plain = source.probability if denoiser == "true_posterior" else prediction(stretch, denoiser)
        weight_t, weight_s = plain * (1 - stretch.alpha_t), plain * (1 - stretch.alpha_s)
        z_t, z_s = weight_t.sum(-1, keepdim=True), weight_s.sum(-1, keepdim=True)
        still = source.probability * (1 - stretch.alpha_s)
        stay = torch.where(stretch.alpha_t < 1, (1 - stretch.alpha_s) / (1 - stretch.alpha_t), 1.0)
        naming = -torch.xlogy(stretch.revealed, weight_t / z_t)
        # Z_s = 0 at t = 1, where nothing is still [MASK]; elsewhere it is a certainty that may be wrong, and costs all
        timing = torch.xlogy(still, stay) - torch.xlogy(still, z_s / z_t)
        total += float(naming.sum() + timing.sum())
    return total
