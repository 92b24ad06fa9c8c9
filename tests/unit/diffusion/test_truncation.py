"""One draw from the truncated prediction."""

from __future__ import annotations

import math

import pytest
import torch

import diffusionbert.diffusion.truncation as truncation_module
from diffusionbert.diffusion.truncation import GROUP, Truncation, draw_tokens, largest

LOGITS = torch.tensor([0.4, 0.3, 0.2, 0.1, 5.0], dtype=torch.float64).log()  # the last id is no candidate
CANDIDATES = torch.tensor([True, True, True, True, False])
EVEN = torch.zeros(1, 5, dtype=torch.float64)


def shares(truncation: Truncation, log_weights: torch.Tensor = EVEN, num: int = 2000) -> list[float]:
    """The share of each token over uniforms on an even grid: its probability, to 1/num."""
    uniforms = (torch.arange(num, dtype=torch.float64) + 0.5) / num
    tokens, left = draw_tokens(LOGITS.expand(num, -1), log_weights, CANDIDATES, truncation, uniforms)
    assert bool(left.all())
    return (torch.bincount(tokens, minlength=5) / num).tolist()


def test_draws_have_the_predictions_probabilities() -> None:
    assert shares(Truncation()) == pytest.approx([0.4, 0.3, 0.2, 0.1, 0], abs=1e-3)


def test_temperature_acts_on_the_logits() -> None:
    squares = [0.16, 0.09, 0.04, 0.01, 0]
    assert shares(Truncation(temperature=0.5)) == pytest.approx([p / 0.3 for p in squares], abs=1e-3)


def test_top_k_keeps_the_likeliest() -> None:
    assert shares(Truncation(top_k=2)) == pytest.approx([4 / 7, 3 / 7, 0, 0, 0], abs=1e-3)
    assert shares(Truncation(top_k=1)) == [1, 0, 0, 0, 0]
    assert shares(Truncation(top_k=50)) == shares(Truncation())


def test_top_p_keeps_the_fewest_that_hold_the_mass() -> None:
    assert shares(Truncation(top_p=0.5)) == pytest.approx([4 / 7, 3 / 7, 0, 0, 0], abs=1e-3)
    assert shares(Truncation(top_p=0.39)) == [1, 0, 0, 0, 0]
    assert shares(Truncation(top_p=1.0)) == pytest.approx([0.4, 0.3, 0.2, 0.1, 0], abs=1e-3)


def test_the_factor_comes_after_the_temperature_and_before_top_k() -> None:
    # p^2 is 16 : 9 : 4 : 1; times the factor 1 : 4 : 4 : 100 it is 16 : 36 : 16 : 100
    factor = torch.tensor([[1.0, 4.0, 4.0, 100.0, 1.0]], dtype=torch.float64).log()
    found = shares(Truncation(temperature=0.5, top_k=2), factor)
    assert found == pytest.approx([0, 36 / 136, 0, 100 / 136, 0], abs=1e-3)


def test_a_token_of_weight_zero_is_never_drawn_not_even_at_the_edges() -> None:
    factor = torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0]], dtype=torch.float64).log()
    for u, token in ((0.0, 1), (math.nextafter(1, 0), 3)):
        tokens, _ = draw_tokens(LOGITS[None], factor, CANDIDATES, Truncation(), torch.tensor([u], dtype=torch.float64))
        assert tokens.tolist() == [token]


@pytest.mark.parametrize("truncation", [Truncation(), Truncation(top_k=2), Truncation(top_p=0.5)])
def test_where_nothing_is_left_the_prediction_alone_is_drawn_from(truncation: Truncation) -> None:
    nothing = torch.full((2, 5), -math.inf, dtype=torch.float64)
    nothing[1, 4] = 0.0  # weight on an id that is no candidate is none
    tokens, left = draw_tokens(
        LOGITS.expand(2, -1), nothing, CANDIDATES, truncation, torch.tensor([0.1, 0.1], dtype=torch.float64)
    )
    assert tokens.tolist() == [0, 0]
    assert left.tolist() == [False, False]


def test_many_rows_are_cut_into_parts_and_weights_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(truncation_module.SCORES_AT_ONCE, "cpu", 5 * 64)
    num = 2 * 64 + 3
    generator = torch.Generator().manual_seed(0)
    wanted = torch.randint(0, 4, (num,), generator=generator)
    only = torch.full((num, 5), -math.inf, dtype=torch.float64)
    only[torch.arange(num), wanted] = 0.0
    uniforms = torch.rand(num, generator=generator, dtype=torch.float64)
    tokens, left = draw_tokens(LOGITS.expand(num, -1), only, CANDIDATES, Truncation(), uniforms)
    assert torch.equal(tokens, wanted)
    assert bool(left.all())


@pytest.mark.parametrize("width", [GROUP - 1, 8 * GROUP, 40 * GROUP + 5])
@pytest.mark.parametrize("num", [1, 7, 30])
def test_the_largest_are_those_of_topk(width: int, num: int) -> None:
    scores = torch.randn(20, width, generator=torch.Generator().manual_seed(0))
    scores[:, ::3] = -math.inf
    scores[:5] = scores[:5].round()  # ties
    scores[5, 2:] = -math.inf
    kept, places = largest(scores, num)
    assert torch.equal(kept, scores.topk(num).values)
    assert torch.equal(scores.gather(-1, places), kept)
    assert all(len(set(row)) == num for row in places.tolist())


def test_a_uniform_next_to_one_draws_the_last_token_that_has_mass() -> None:
    scores = torch.tensor([[0.0, 0.0, 0.0, -math.inf]]).expand(1000, -1) + torch.randn(1000, 1)
    near = torch.full((1000,), math.nextafter(1, 0), dtype=torch.float64)
    tokens, _ = draw_tokens(scores, torch.zeros(1, 4), torch.ones(4, dtype=torch.bool), Truncation(), near)
    assert set(tokens.tolist()) == {2}


def test_no_rows() -> None:
    none = torch.empty(0, dtype=torch.float64)
    tokens, left = draw_tokens(LOGITS[None][:0], EVEN, CANDIDATES, Truncation(), none)
    assert len(tokens) == len(left) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0"),
        ({"temperature": float("inf")}, "temperature is inf; expected a finite number"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0.0}, "top_p is 0"),
        ({"top_p": 1.5}, r"top_p is 1\.5"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Truncation(**settings)  # type: ignore[arg-type]
