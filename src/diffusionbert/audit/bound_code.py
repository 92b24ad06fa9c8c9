"""Is what is audited the code that scores arms? The same figures by enumeration through `diffusion.bound`.

Every token of a small source and every step stand in one batch of one-word sentences, all [MASK], with the denoiser's
prediction as logits; weighted with p(v)(1 - a_t(v)) their terms sum to what `expected` says in closed form.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusionbert.audit.expected import (
    DENOISERS,
    Denoiser,
    Process,
    prediction,
    release_of,
    spindle_of,
    steps,
    told_nats,
    valid_nats,
)
from diffusionbert.audit.sources import Source, zipf
from diffusionbert.diffusion.bound import Step
from diffusionbert.diffusion.protocols import Scoring, protocols
from diffusionbert.shapes import Bool, Float

SMALL = zipf(50, 1.1)
SMALL_STEPS = 24
SMALL_CORPUS = 100_000
TOLERANCE = 1e-9  # nats per token, in float64
IMPOSSIBLE = -700.0  # the logit of a token that is excluded: exp gives 1e-304, and 0 times it is 0


def enumerated(source: Source, scoring: Scoring, denoiser: Denoiser, *, before_factor: bool) -> float:
    """Nats per token as the project's own bound computes them, all tokens and steps weighted exactly.

    With `before_factor` the true posterior is told as p(v), which the bound's schedule factor makes the posterior.
    """
    total = 0.0
    assert isinstance(scoring.schedule, Process), "a schedule of the audit's own"
    for stretch in steps(source, scoring.schedule):
        told = prediction(stretch, denoiser)
        for row, t in enumerate(stretch.t):
            plain = source.probability if before_factor and denoiser == "true_posterior" else told[row]
            terms = scoring.terms(_every_token(plain, stretch.hidden[row] > 0, int(t)))
            total += float((stretch.hidden[row] * terms.total).sum())
    return total


def _every_token(predicted: Float[Tensor, V], masked: Bool[Tensor, V], t: int) -> Step:
    """One sentence a token of the vocabulary, that token its only word, and [MASK] where it can be."""
    size = len(predicted)
    every = torch.ones(size, dtype=torch.bool)
    logits = predicted.log().clamp(min=IMPOSSIBLE).expand(int(masked.sum()), size)
    times = torch.full((size,), t)
    return Step(torch.arange(size)[:, None], every[:, None], masked[:, None], times - 1, times, logits, every)


def largest_difference(lambdas: list[float]) -> float:
    """Nats per token between the closed form and the bound's own code, over every protocol, lambda and denoiser.

    Raises ValueError when they are not the same figure.
    """
    worst = 0.0
    for spindle_lambda in lambdas:
        spindle = spindle_of(SMALL, SMALL_STEPS, spindle_lambda)
        release = release_of(SMALL, SMALL_STEPS, spindle_lambda, SMALL_CORPUS)
        closed = {
            "valid": {denoiser: valid_nats(SMALL, spindle, denoiser) for denoiser in DENOISERS},
            "oracle": told_nats(SMALL, spindle),
            "released": told_nats(SMALL, release),
        }
        for protocol, scoring in protocols(spindle, release, continuous=False).items():
            for denoiser in DENOISERS:
                if closed[protocol][denoiser] == math.inf:
                    continue  # a certainty that is wrong: no finite logit tells it
                nats = enumerated(SMALL, scoring, denoiser, before_factor=protocol == "valid")
                found = abs(nats - closed[protocol][denoiser])
                if not found <= TOLERANCE:
                    raise ValueError(
                        f"audit: {protocol} at lambda {spindle_lambda:g}, {denoiser}: the bound's code and the closed "
                        f"form differ by {found:.3g} nats per token; expected at most {TOLERANCE:g}"
                    )
                worst = max(worst, found)
    return worst
