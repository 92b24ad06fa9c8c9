from __future__ import annotations

import pytest

from diffusionbert.audit.findings import Finding, closed_form, not_bounds, trained
from diffusionbert.audit.network import Excess
from diffusionbert.audit.sources import unigram, zipf
from unit.audit.small_network import NETWORK


def finding(excess: float, error: float = 0.0, *, is_bound: bool = False, protocol: str = "oracle") -> Finding:
    return Finding(
        source="law",
        protocol=protocol,
        spindle_lambda=0.3,
        denoiser="own_minimiser",
        excess_nats_per_token=excess,
        standard_error=error,
        is_bound=is_bound,
    )


@pytest.mark.parametrize(
    ("excess", "error", "below"),
    [(-0.1, 0.0, True), (-1e-12, 0.0, False), (-0.1, 0.04, True), (-0.1, 0.06, False), (0.1, 0.0, False)],
)
def test_below_is_by_more_than_rounding_or_two_standard_errors(excess: float, error: float, below: bool) -> None:
    assert finding(excess, error).below_entropy is below


def test_each_flag_is_told_once() -> None:
    every = [finding(-0.1), finding(-0.2), finding(0.1, protocol="released"), finding(0.0, is_bound=True)]
    assert not_bounds(every) == ["oracle@0.3"]


def test_a_bound_below_the_entropy_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"audit: valid@0\.3, own_minimiser, law: 0\.1 nats per token below the entropy"
    ):
        not_bounds([finding(-0.1, is_bound=True, protocol="valid")])


def test_closed_forms_of_a_law_flag_what_theory_does_not_call_a_bound() -> None:
    found = list(closed_form(zipf(200, 1.1), 32, [0.0, 0.3], [10_000]))
    assert len(found) == 2 * 3 * 2
    assert {each.flag for each in found if not each.is_bound} == {"oracle@0.3", "released@0.3"}
    assert not_bounds(found) == ["oracle@0.3", "released@0.3"]


def test_a_counted_source_adds_its_own_size() -> None:
    counted = unigram("words", zipf(50, 1.0).probability, 777)
    sizes = {each.corpus_tokens for each in closed_form(counted, 8, [0.3], [10_000])}
    assert sizes == {None, 777, 10_000}


def test_the_releases_cap_makes_no_bound_of_many_steps() -> None:
    found = list(closed_form(zipf(20, 1.0), 2000, [0.0], [10_000]))
    assert {each.protocol for each in found if not each.is_bound} == {"released"}


def test_trained_figures_carry_the_lambda_they_were_trained_at() -> None:
    excess = {"valid": Excess(0.01, 0.001, True)}
    found = list(trained(NETWORK, {"linear": excess, "oracle": excess}))
    assert [(each.denoiser, each.spindle_lambda) for each in found] == [("linear", 0.0), ("oracle", 0.3)]


@pytest.mark.parametrize("excess", [float("nan"), float("-inf")])
def test_a_figure_that_is_no_number_is_refused(excess: float) -> None:
    with pytest.raises(ValueError, match="expected a number, or infinity"):
        finding(excess)
