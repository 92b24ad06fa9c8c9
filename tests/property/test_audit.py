"""What no denoiser can do on a source of known entropy, and what is the best one can do under the other protocols."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusionbert.audit import expected
from diffusionbert.audit.expected import Steps, release_of, spindle_of, told_nats, valid_nats
from diffusionbert.audit.sources import Source

LAMBDAS = st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0, 2.0])


@st.composite
def sources(draw: st.DrawFn) -> Source:
    weights = draw(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=12))
    probability = torch.tensor(weights, dtype=torch.float64)
    return Source("drawn", "drawn", probability / probability.sum())


def perturbed(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Makes every denoiser another one: its predictions times random factors, where they were possible."""
    plain = expected.prediction

    def other(stretch: Steps, denoiser: expected.Denoiser) -> torch.Tensor:
        rng = torch.Generator().manual_seed(seed)
        weights = plain(stretch, denoiser)
        weights = weights * torch.rand(weights.shape, generator=rng, dtype=torch.float64).add(0.05)
        return weights / weights.sum(-1, keepdim=True)

    monkeypatch.setattr(expected, "prediction", other)


@given(sources(), LAMBDAS, st.integers(1, 20))
def test_valid_is_the_entropy_for_the_posterior_and_no_less_for_the_other_minimiser(
    source: Source, spindle_lambda: float, num_steps: int
) -> None:
    spindle = spindle_of(source, num_steps, spindle_lambda)
    assert valid_nats(source, spindle, "true_posterior") == pytest.approx(source.entropy, abs=1e-9)
    assert valid_nats(source, spindle, "own_minimiser") >= source.entropy - 1e-9


@given(sources(), LAMBDAS, st.integers(1, 20), st.integers(0, 1000))
def test_no_denoiser_is_below_the_entropy_under_valid(
    source: Source, spindle_lambda: float, num_steps: int, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        perturbed(patch, seed)
        assert (
            valid_nats(source, spindle_of(source, num_steps, spindle_lambda), "own_minimiser") >= source.entropy - 1e-9
        )


@given(sources(), LAMBDAS, st.integers(1, 20), st.integers(0, 1000))
def test_no_denoiser_beats_the_own_minimiser(source: Source, spindle_lambda: float, num_steps: int, seed: int) -> None:
    processes = [spindle_of(source, num_steps, spindle_lambda), release_of(source, num_steps, spindle_lambda, 10_000)]
    least = [told_nats(source, process)["own_minimiser"] for process in processes]
    posterior = [told_nats(source, process)["true_posterior"] for process in processes]
    assert all(other >= one - 1e-9 for one, other in zip(least, posterior, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        perturbed(patch, seed)
        others = [told_nats(source, process)["own_minimiser"] for process in processes]
    assert all(other >= one - 1e-9 for one, other in zip(least, others, strict=True))
