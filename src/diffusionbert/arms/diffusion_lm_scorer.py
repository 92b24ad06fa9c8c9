"""Scores a Diffusion-LM arm by its bound, at steps drawn where the errors cost most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffusionbert.arms.base import Draw, Figure
from diffusionbert.corpus.batches import Batch
from diffusionbert.diffusion.bound import Terms
from diffusionbert.diffusion.gaussian import Proposal, noise_place, proposal, squares

if TYPE_CHECKING:
    from diffusionbert.arms.diffusion_lm import DiffusionLM

UNIFORM_SHARE = 0.2  # of the evaluation's draws of t; the others go where the terms are large


class DiffusionLMScorer:
    """It draws its own t, where training saw the error cost most."""

    continuous = False

    def __init__(self, arm: DiffusionLM) -> None:
        self.arm = arm
        self.num_steps: int | None = arm.num_steps
        schedule = f"{arm.settings.schedule}, Gaussian over embeddings, T = {arm.num_steps}"
        self.figures: Mapping[str, Figure] = {"bound": Figure(is_bound=True, schedule=schedule)}
        self.proposal: Proposal = proposal(
            arm.process,
            arm.denoiser.remembered(noise_place(arm.process)[1:].to(arm.device)).cpu().double(),
            UNIFORM_SHARE,
        )

    def draw_steps(self, uniforms: Tensor, stratum: int, num_strata: int) -> tuple[Tensor, Tensor, Tensor]:
        t, weights = self.proposal.draw(uniforms, stratum, num_strata)
        return t - 1, t, weights

    def __call__(self, batch: Batch, draw: Draw, names: Sequence[str]) -> dict[str, Terms]:
        """The step's divergence; prior and rounding count q_t times, which the weights of `draw_steps` make once."""
        arm = self.arm
        noised = arm.noised(batch, draw)
        error: list[Tensor] = []
        rounding: list[Tensor] = []
        for chunk in arm.chunks(batch.num_counted, batch.tokens.shape[1]):
            counted = batch.counted[chunk]
            steps = draw.t[chunk, None].expand_as(counted)[counted]
            predicted = arm.predict(noised.output[chunk][counted], noised.xt[chunk][counted], steps)
            sentence, zeros = counted.nonzero()[:, 0], torch.zeros(len(counted), dtype=torch.float64)
            errors = squares(noised.embedded[chunk][counted] - predicted)
            nats = arm.rounding_nats(noised.x0[chunk][counted], batch.tokens[chunk][counted])
            for found, values in ((error, errors), (rounding, nats)):
                found.append(zeros.to(values.device).index_add(0, sentence, values.double()))
        divergence = torch.cat(error) * arm.process.half_snr_drop(draw.s, draw.t)
        once = torch.cat(rounding) + arm.process.prior_term(noised.embedded, batch.counted)
        share = self.proposal.probability.to(draw.t.device)[draw.t - 1]
        return {"bound": Terms(divergence + share * once, torch.zeros_like(once))}
