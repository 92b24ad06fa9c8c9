"""What an absorbing arm is trained on: the bound, `oracle`, the release's loss, or plain cross-entropy."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from diffusionbert.arms.base import Draw, Loss
from diffusionbert.arms.masked_steps import MLM_SHARE, Noised, OverMasked, cross_entropy, noised, step_of, summed
from diffusionbert.corpus.batches import Batch
from diffusionbert.diffusion.bound import oracle_terms, released_objective, valid_terms
from diffusionbert.diffusion.continuous import continuous_terms
from diffusionbert.diffusion.schedules import ReleasedSpindle, Schedule

AUXILIARY_WEIGHT = 0.01  # the release's hybrid_lambda: cross-entropy at every real position


def noised_by(arm: OverMasked, batch: Batch, draw: Draw, schedule: Schedule) -> Noised:
    mean = schedule.sentence_mean(batch.tokens, batch.counted)
    return noised(arm, batch, draw, schedule.alpha_bar(draw.t, batch.tokens, mean))


def bound_loss(
    arm: OverMasked, batch: Batch, draw: Draw, schedule: Schedule, *, oracle: bool, continuous: bool
) -> Loss:
    """The terms of `valid` or `oracle`, nats per token.

    One of T steps was drawn, or one real t of (0, T]: T times its terms estimate the sum, or the integral.
    """
    noisy = noised_by(arm, batch, draw, schedule)
    count = batch.num_counted.sum()
    scale = schedule.num_steps / count
    timed = not oracle and not schedule.token_independent
    valid = continuous_terms if continuous else valid_terms

    def terms(hidden: Tensor, chunk: slice) -> dict[str, Tensor]:
        step = step_of(arm, batch, draw, noisy.masked, hidden, chunk)
        nats = (oracle_terms if oracle else valid)(step, schedule)
        named = {"reveal": nats.reveal.sum() * scale}
        return named | {"timing": nats.timing.sum() * scale} if timed else named

    return summed(arm, noisy.masked, noisy.hidden, terms, count)


def weighted_cross_entropy(arm: OverMasked, batch: Batch, draw: Draw, schedule: Schedule, weighting: str) -> Loss:
    """Cross-entropy weighted over t: by 1, or by 1 - (t - 1)/T, which leaves steps with little context less (RDM's)."""
    weights = torch.ones_like(draw.t)
    if weighting == "linear":
        weights = 1 - (draw.t.double() - 1) / schedule.num_steps
    return cross_entropy(arm, batch, draw, noised_by(arm, batch, draw, schedule), weights)


def released_loss(arm: OverMasked, batch: Batch, draw: Draw, schedule: ReleasedSpindle) -> Loss:
    """The release's: the two-outcome divergence, plus 0.01 cross-entropy at every real position, visible or not.

    Its softmax keeps [MASK]. The sums are per token here and per sentence there, a constant to Adam.
    """
    noisy = noised_by(arm, batch, draw, schedule)
    every_id = torch.ones_like(arm.vocabulary.candidates)
    tokens = batch.num_counted.sum()

    def terms(hidden: Tensor, chunk: slice) -> dict[str, Tensor]:
        everywhere = replace(step_of(arm, batch, draw, batch.counted, hidden, chunk), candidates=every_id)
        divergence, auxiliary = released_objective(everywhere, noisy.masked[chunk], schedule, arm.vocabulary.mask_id)
        return {
            "reveal": divergence.reveal.sum() / tokens,
            "auxiliary": AUXILIARY_WEIGHT * auxiliary.sum() / tokens,
        }

    return summed(arm, batch.counted, noisy.hidden, terms, tokens)


def masked_lm_loss(arm: OverMasked, batch: Batch, draw: Draw, num_steps: int) -> Loss:
    """Plain masked-LM cross-entropy at BERT's share; told the t at which the linear schedule masks as many."""
    told = replace(draw, t=torch.full_like(draw.t, MLM_SHARE * num_steps, dtype=torch.float64))
    kept = torch.full_like(draw.uniforms, 1 - MLM_SHARE)
    return cross_entropy(arm, batch, told, noised(arm, batch, told, kept), torch.ones_like(draw.t))
