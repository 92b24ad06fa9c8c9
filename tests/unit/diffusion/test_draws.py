"""Draws depend on their key alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusionbert.diffusion.draws import Purpose, generator, uniforms


def test_a_draw_is_independent_of_the_batch_it_stands_in() -> None:
    whole = uniforms(7, Purpose.MASK, step=3, indices=range(10), length=6)
    assert whole.dtype == torch.float64
    assert whole.shape == (10, 6)
    assert bool(((whole >= 0) & (whole < 1)).all())
    shuffled = uniforms(7, Purpose.MASK, step=3, indices=np.array([8, 2, 5]), length=6)
    assert torch.equal(shuffled, whole[[8, 2, 5]])
    assert torch.equal(uniforms(7, Purpose.MASK, step=3, indices=[4], length=6), whole[4:5])


def test_a_shorter_length_is_a_prefix() -> None:
    long = uniforms(0, Purpose.MASK, step=0, indices=[1, 2], length=33)
    assert torch.equal(uniforms(0, Purpose.MASK, step=0, indices=[1, 2], length=9), long[:, :9])


def test_every_part_of_the_key_matters() -> None:
    keys = [(s, p, t, i) for s in (0, 1) for p in Purpose for t in (0, 1, 2**40) for i in (0, 1, 10**9)]
    rows = [tuple(generator(*key).random(600)) for key in keys]
    drawn = {value for row in rows for value in row}
    assert len(drawn) == len(keys) * 600, "two streams overlap"


def test_a_long_stream_does_not_run_into_the_next_step() -> None:
    first = generator(0, Purpose.SAMPLE, 0, 0).random(20_000)
    assert not np.isin(first, generator(0, Purpose.SAMPLE, 1, 0).random(100)).any()
    assert not np.isin(first, generator(0, Purpose.SAMPLE, 0, 1).random(100)).any()


def test_the_numbers_are_the_same_on_every_machine() -> None:
    # Philox 4x64-10 of numpy, whose stream is fixed by its specification
    expected = np.random.Generator(np.random.Philox(key=[5, 2], counter=[0, 0, 11, 13])).random(3)
    assert uniforms(5, Purpose.MASK, step=11, indices=[13], length=3)[0].tolist() == expected.tolist()
    assert uniforms(5, Purpose.MASK, step=11, indices=[], length=3).shape == (0, 3)


def test_draws_are_uniform() -> None:
    values = uniforms(1, Purpose.MASK, step=0, indices=range(400), length=100).flatten()
    counts = torch.histc(values, bins=20, min=0, max=1)
    chi_square = float(((counts - 2000) ** 2 / 2000).sum())
    assert chi_square == pytest.approx(19, abs=22), "19 degrees of freedom: beyond 41 once in 400 seeds"
