"""The absorbing forward process: which positions are [MASK] at step t, and when to look.

Draws come in as uniforms, made by `draws.py` from (seed, step, sentence), so that the same sentence meets the same
noise whatever arm, batch or machine it is scored in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionbert.shapes import Bool, Float, Int


def absorb(
    x0: Int[Tensor, "B L"],
    alpha_bar: Float[Tensor, "B L"],
    uniforms: Float[Tensor, "B L"],
    counted: Bool[Tensor, "B L"],
    mask_id: int,
) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """x_t and where it is [MASK]: a counted position is masked iff U > a_t (eq. 7); others never are."""
    masked = (uniforms > alpha_bar) & counted
    return torch.where(masked, mask_id, x0), masked


def stratified_steps(uniforms: Float[Tensor, ...], stratum: Tensor, num_strata: int, num_steps: int) -> Tensor:
    """One step in 1..T from each stratum: t = floor(T (j + u) / J) + 1, j = 0..J-1.

    Over all strata t is uniform on 1..T, so T times the mean term is an unbiased estimate of the sum over t.
    """
    position = (stratum + uniforms) / num_strata
    return (position * num_steps).long().clamp(max=num_steps - 1) + 1


def stratified_times(
    uniforms: Float[Tensor, B], stratum: Tensor, num_strata: int, num_steps: int
) -> tuple[Float[Tensor, B], Float[Tensor, B]]:
    """A real t in (0, T] from each stratum and its weight: t = T u^2, u = (j + 1 - U) / J, weight 2 T u / J.

    Over all strata the weighted terms are an unbiased estimate of the integral over t. Near t = 0 the terms are as
    large as 1/t where anything is masked: under a uniform t their variance has no bound, under this one it has. For a
    token whose curve is clipped at 1 the same happens where it leaves 1, at a t of its own that no draw can favour:
    there the variance stays without a bound, and a figure of many discrete steps is the better one.
    """
    position = (stratum + 1 - uniforms) / num_strata
    return num_steps * position**2, 2 * num_steps * position / num_strata


def low_discrepancy_times(offset: float, batch_size: int, num_steps: int) -> Float[Tensor, B]:
    """One real t in (0, T] per sentence, stratified over the batch by one shared offset in [0, 1)."""
    return num_steps * (torch.arange(1, batch_size + 1, dtype=torch.float64) - offset) / batch_size


def low_discrepancy_steps(offset: float, batch_size: int, num_steps: int) -> Int[Tensor, B]:
    """One step per sentence, stratified over the batch by one shared offset in [0, 1) (MDLM's antithetic draw)."""
    position = (torch.arange(batch_size, dtype=torch.float64) + offset) / batch_size
    return (position * num_steps).long().clamp(max=num_steps - 1) + 1
