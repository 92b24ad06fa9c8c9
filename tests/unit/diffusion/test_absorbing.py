"""The forward draw and the choice of steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusionbert.diffusion.absorbing import (
    absorb,
    low_discrepancy_steps,
    low_discrepancy_times,
    stratified_steps,
    stratified_times,
)


def test_a_counted_position_is_masked_iff_its_uniform_exceeds_alpha_bar() -> None:
    x0 = torch.tensor([[5, 6, 7, 8]])
    alpha = torch.tensor([[0.5, 0.5, 1.0, 0.0]], dtype=torch.float64)
    uniforms = torch.tensor([[0.4, 0.6, 0.999, 0.1]], dtype=torch.float64)
    counted = torch.tensor([[True, True, True, False]])
    xt, masked = absorb(x0, alpha, uniforms, counted, mask_id=9)
    assert masked.tolist() == [[False, True, False, False]]
    assert xt.tolist() == [[5, 9, 7, 8]]
    assert x0.tolist() == [[5, 6, 7, 8]]


def test_the_ends_mask_nothing_and_everything() -> None:
    generator = torch.Generator().manual_seed(0)
    uniforms = torch.rand(50, 40, generator=generator, dtype=torch.float64)
    x0, counted = torch.zeros(50, 40, dtype=torch.long), torch.ones(50, 40, dtype=torch.bool)
    for alpha, share in ((1.0, 0.0), (0.0, 1.0)):
        _, masked = absorb(x0, torch.full((50, 40), alpha, dtype=torch.float64), uniforms, counted, 9)
        assert float(masked.double().mean()) == share


@pytest.mark.parametrize(("num_strata", "num_steps"), [(1, 12), (3, 12), (5, 12), (12, 12), (24, 12), (7, 512)])
def test_over_all_strata_every_step_is_equally_likely(num_strata: int, num_steps: int) -> None:
    # uniforms on a fine grid: each step must come up in exactly its share
    fine = num_steps * 20
    uniforms = (torch.arange(fine, dtype=torch.float64) + 0.5) / fine
    steps = stratified_steps(uniforms[:, None], torch.arange(num_strata), num_strata, num_steps)
    counts = torch.bincount(steps.flatten(), minlength=num_steps + 1)
    assert int(counts[0]) == 0
    assert counts[1:].tolist() == [20 * num_strata] * num_steps
    for j in range(num_strata):  # and each stays in its own stratum
        assert int(steps[:, j].min()) == j * num_steps // num_strata + 1
        assert int(steps[:, j].max()) == -(-(j + 1) * num_steps // num_strata)


def test_low_discrepancy_steps_fill_the_range_and_are_uniform() -> None:
    assert sorted(low_discrepancy_steps(0.3, 8, 8).tolist()) == list(range(1, 9))
    assert low_discrepancy_steps(np.nextafter(1.0, 0.0), 3, 9).tolist()[-1] == 9
    counts = torch.zeros(10, dtype=torch.long)
    for k in range(300):
        counts += torch.bincount(low_discrepancy_steps((k + 0.5) / 300, 4, 9), minlength=10)
    assert int(counts[0]) == 0
    # 4 x 300 draws over 9 steps, the grid of offsets cut at the borders of steps
    assert all(abs(int(count) - 1200 / 9) <= 1 for count in counts[1:])


def test_real_times_are_in_range_and_their_weights_integrate() -> None:
    uniforms = torch.linspace(0, 1, 1001, dtype=torch.float64)[:-1]
    strata = [stratified_times(uniforms, torch.tensor(j), 4, 32) for j in range(4)]
    t, weight = (torch.cat(column) for column in zip(*strata, strict=True))
    assert bool(((t > 0) & (t <= 32)).all())
    # the midpoints of a fine grid would be exact; its upper ends are so to the order of its width
    for power in (0, 1, 2):
        assert float((weight * t**power).sum() / 1000) == pytest.approx(32 ** (power + 1) / (power + 1), rel=1e-2)
    low = low_discrepancy_times(0.999, 8, 32)
    assert bool(((low > 0) & (low <= 32)).all())
    assert float(low_discrepancy_times(0.0, 8, 32)[-1]) == 32
    assert torch.equal(low_discrepancy_times(0.5, 8, 32).diff(), torch.full((7,), 4.0, dtype=torch.float64))
