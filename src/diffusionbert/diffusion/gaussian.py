"""Gaussian diffusion over embeddings of the tokens (Diffusion-LM, arXiv 2205.14217): process, posterior, bound.

The chain starts at the word: q(x_0 | w) = N(EMB(w), sigma_0^2 I) and q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I), so

    q(x_t | w) = N(sqrt(a_t) EMB(w), v_t I),   v_t = 1 - a_t (1 - sigma_0^2),   SNR_t = a_t / v_t.

The reverse step p_theta(x_s | x_t) is q(x_s | x_t, w) with a prediction f(x_t, t) in the place of EMB(w), and its
variance. Li et al. write their L_vlb with q(x_{t-1} | x_t, x_0); here x_0 is integrated out given w. For one p_theta
the two are the same number, and this one has a term of its own for x_0 (their t = 1, whose posterior given x_0 has no
width) and no noise of x_0 in the others:

    -ln p(w) <= KL(q(x_T | w) || N(0, I)) + sum_{t=1..T} (SNR_{t-1} - SNR_t) / 2 E |EMB(w) - f(x_t, t)|^2
                + E[-ln p(w | x_0)]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from diffusionbert.shapes import Bool, Float

LEAST_NOISE, MOST_NOISE = 6.0, -10.0  # ln SNR between which words go from known to unknown
LARGEST_BETA = 0.999  # the release's cap of one step's noise, so that no step destroys all


def cosine_alpha_bar(num_steps: int) -> Float[Tensor, K]:
    """a_t of the cosine schedule (Nichol and Dhariwal 2021), t = 0..T."""
    return _alpha_bar(lambda u: math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2, num_steps)


def sqrt_alpha_bar(num_steps: int) -> Float[Tensor, K]:
    """a_t of Diffusion-LM's own schedule, in proportion to 1 - sqrt(t/T + 0.0001), t = 0..T."""
    return _alpha_bar(lambda u: 1 - math.sqrt(u + 0.0001), num_steps)


def _alpha_bar(curve: Callable[[float], float], num_steps: int) -> Tensor:
    values = [curve(t / num_steps) for t in range(num_steps + 1)]
    kept = [1 - min(1 - after / before, LARGEST_BETA) for before, after in pairwise(values)]
    return torch.tensor([1.0, *np.cumprod(kept)], dtype=torch.float64)


@dataclass(frozen=True)
class Gaussian:
    """The forward process by its a_t, t = 0..T with a_0 = 1, and the variance sigma_0^2 of x_0 around EMB(w)."""

    alpha_bar: Float[Tensor, K]
    first_variance: float

    def __post_init__(self) -> None:
        if not 0 < self.first_variance < 1:
            raise ValueError(f"the variance of x_0 is {self.first_variance}; expected a number in (0, 1)")

    @property
    def num_steps(self) -> int:
        return len(self.alpha_bar) - 1

    @property
    def variance(self) -> Float[Tensor, K]:
        """v_t of q(x_t | w), t = 0..T."""
        return 1 - self.alpha_bar * (1 - self.first_variance)

    @property
    def snr(self) -> Float[Tensor, K]:
        """a_t / v_t, falling from 1 / sigma_0^2."""
        return self.alpha_bar / self.variance

    def half_snr_drop(self, s: Tensor, t: Tensor) -> Float[Tensor, B]:
        """(SNR_s - SNR_t) / 2: what a squared error of the prediction costs at the step s -> t, nats."""
        snr = self.snr.to(t.device)
        return (snr[s] - snr[t]) / 2

    def noised(self, embedded: Float[Tensor, "B L D"], t: Tensor, noise: Float[Tensor, "B L D"]) -> Tensor:
        """x_t ~ q(x_t | w) for standard normal noise."""
        return _scaled(self.alpha_bar.sqrt(), t, embedded) + _scaled(self.variance.sqrt(), t, noise)

    def noised_further(self, x0: Float[Tensor, "B L D"], t: Tensor, noise: Float[Tensor, "B L D"]) -> Tensor:
        """x_t ~ q(x_t | x_0)."""
        return _scaled(self.alpha_bar.sqrt(), t, x0) + _scaled((1 - self.alpha_bar).sqrt(), t, noise)

    def posterior(self, xt: Tensor, embedded: Tensor, s: int, t: int) -> tuple[Tensor, float]:
        """Mean and variance of q(x_s | x_t, w), s < t; with a prediction for EMB(w) those of p_theta.

        With k = a_t / a_s and u = 1 - k, the variance of q(x_t | x_s): mean (sqrt(k) v_s x_t + sqrt(a_s) u EMB) / v_t,
        variance u v_s / v_t.
        """
        variance = self.variance
        kept = float(self.alpha_bar[t] / self.alpha_bar[s])
        before, after = float(variance[s]), float(variance[t])
        mean = math.sqrt(kept) * before * xt + float(self.alpha_bar[s].sqrt()) * (1 - kept) * embedded
        return mean / after, (1 - kept) * before / after

    def prior_term(self, embedded: Float[Tensor, "B L D"], counted: Bool[Tensor, "B L"]) -> Float[Tensor, B]:
        """KL(q(x_T | w) || N(0, I)) of every sentence, nats."""
        alpha_bar, variance = float(self.alpha_bar[-1]), float(self.variance[-1])
        squares = squared_norms(embedded, counted)
        constant = variance - 1 - math.log(variance)
        return (alpha_bar * squares + constant * embedded.shape[-1] * counted.sum(-1)) / 2


def squared_norms(vectors: Float[Tensor, "B L D"], counted: Bool[Tensor, "B L"]) -> Float[Tensor, B]:
    """The sum over counted positions of |vector|^2, float64."""
    return (vectors.square().sum(-1).double() * counted).sum(-1)


def squares(vectors: Float[Tensor, "M D"]) -> Float[Tensor, M]:
    """|vector|^2 of each."""
    return vectors.square().sum(-1)


def _scaled(per_step: Tensor, t: Tensor, vectors: Tensor) -> Tensor:
    return per_step.to(vectors.device)[t].to(vectors.dtype)[:, None, None] * vectors


def even_grid(num_steps: int, num_wanted: int) -> list[int]:
    """0 = t_0 < ... < t_K = T, as even as whole numbers allow. Raises ValueError unless 1 <= K <= T."""
    if not 1 <= num_wanted <= num_steps:
        raise ValueError(f"{num_wanted} sampling steps; expected a number from 1 to num_steps = {num_steps}")
    return [round(place * num_steps / num_wanted) for place in range(num_wanted + 1)]


@dataclass(frozen=True)
class Proposal:
    """A law over the steps 1..T from which a bound's steps are drawn; `probability` is (T,), positive."""

    probability: Float[Tensor, K]

    def draw(self, uniforms: Float[Tensor, B], stratum: int, num_strata: int) -> tuple[Tensor, Float[Tensor, B]]:
        """t by the quantile of (stratum + u) / J, and its weight 1 / (J q_t): over all strata the sum is unbiased."""
        position = ((stratum + uniforms) / num_strata).cpu()
        cumulative = self.probability.cumsum(0)
        t = torch.searchsorted(cumulative / cumulative[-1], position, right=True).clamp(max=len(cumulative) - 1) + 1
        return t, 1 / (num_strata * self.probability[t - 1])


def proposal(process: Gaussian, squared_error: Float[Tensor, K], uniform_share: float) -> Proposal:
    """q_t in proportion to the cost of a squared error at t times the error expected there, (T,); a share uniform."""
    expected = (process.snr[:-1] - process.snr[1:]) * squared_error
    if not float(expected.sum()) > 0:
        return Proposal(torch.full_like(expected, 1 / len(expected)))
    return Proposal((1 - uniform_share) * expected / expected.sum() + uniform_share / len(expected))


def noise_place(process: Gaussian) -> Float[Tensor, K]:
    """Where t = 0..T stand between little noise (0) and much (1), by ln SNR from 6 down to -10, (T + 1,) float32.

    Errors depend on the noise, not on t as such: most of a schedule's steps may lie where nothing is unknown.
    """
    return ((LEAST_NOISE - process.snr.log()) / (LEAST_NOISE - MOST_NOISE)).clamp(0, 1).float()


def normals(uniforms: Float[Tensor, "B L"], widths: Sequence[int]) -> list[Float[Tensor, "B L D"]]:
    """Standard normals of each width for every position, float32, a function of the sentence's first uniform alone.

    A shorter sentence's are a prefix of a longer one's, so that padding changes no draw.
    """
    length, width = uniforms.shape[1], sum(widths)
    keys = (uniforms[:, 0].cpu() * 2**53).long().tolist()
    rows = [np.random.Generator(np.random.Philox(key=key)).standard_normal((length, width)) for key in keys]
    drawn = torch.from_numpy(np.stack(rows)).float().to(uniforms.device)
    return list(torch.split_with_sizes(drawn, list(widths), dim=-1))
