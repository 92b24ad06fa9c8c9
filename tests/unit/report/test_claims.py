"""Claims on made-up results: what is compared, in which direction, by which rule, and what is said to be missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synthetic_results import PLACE, edit, make_params, write_csv
from table_results import ROWS, contrasts, seeds_of, spread_of, steps_row, table_params, text_contrast, write_table

from diffusionbert.files import read_json
from diffusionbert.report import claim_page
from diffusionbert.report.claims import Claim, claims
from diffusionbert.report.document import Table
from diffusionbert.report.markdown import render_markdown
from diffusionbert.report.results import Results, read_results
from diffusionbert.report.verdicts import Verdict

YES, NO, OPEN, ABSENT = Verdict.REPRODUCED, Verdict.CONTRADICTED, Verdict.INCONCLUSIVE, Verdict.NOT_RUN
NAMES = tuple(ROWS)
SMALL = spread_of([0.99, 1.0, 1.005])


def results(folder: Path, names: tuple[str, ...] = NAMES, **metrics: Any) -> Results:
    params = table_params(names)
    return read_results(write_table(folder, params, **metrics), params, folder / "no.lock")


def by_name(held: Results) -> dict[str, Claim]:
    return {claim.name: claim for claim in claims(held)}


def test_the_papers_own_ratios_reproduce_its_claims(tmp_path: Path) -> None:
    found = by_name(results(tmp_path, spread=SMALL))
    expected = ["pretraining", "diffusion_lm", "spindle_valid", "spindle_oracle", "spindle_released"]
    expected += [
        "spindle_trained_oracle",
        "spindle_trained_released",
        "spindle_as_published",
        "time_agnostic",
        "layer_wise",
        "best_perplexity",
        "steps",
    ]
    assert {name: found[name].verdict for name in expected} == dict.fromkeys(expected, YES)


@pytest.mark.parametrize(
    ("spread", "verdict", "reason"),
    [(SMALL, YES, "exceeds the spread"), ([], OPEN, "no spread"), (spread_of([0.5, 1.0, 2.0]), OPEN, "within the")],
)
def test_without_a_spread_or_within_it_nothing_is_decided(
    tmp_path: Path, spread: list[dict[str, Any]], verdict: Verdict, reason: str
) -> None:
    claim = by_name(results(tmp_path, spread=spread))["pretraining"]
    assert claim.verdict == verdict
    assert reason in claim.parts[0].decision.reason


def test_a_spread_of_two_seeds_is_none(tmp_path: Path) -> None:
    claim = by_name(results(tmp_path, spread=spread_of([0.99, 1.0])))["pretraining"]
    assert claim.verdict == OPEN


def test_the_other_direction_contradicts(tmp_path: Path) -> None:
    names = ("d3pm_tad", "tad")
    row = contrasts("tad", "d3pm_tad", table_params(names))[0]
    row["perplexity_per_word_ratio"] = {"value": 1.5, "low": 1.4, "high": 1.6}
    claim = by_name(results(tmp_path, names, spread=SMALL, contrasts=[row]))["pretraining"]
    assert claim.verdict == NO
    assert "0.6293" in claim.parts[0].published


def test_a_contrast_is_read_in_either_order(tmp_path: Path) -> None:
    names, params = ("d3pm_tad", "tad"), table_params(("d3pm_tad", "tad"))
    effects = []
    for number, pair in enumerate((("d3pm_tad", "tad"), ("tad", "d3pm_tad"))):
        held = results(tmp_path / str(number), names, contrasts=contrasts(*pair, params), spread=SMALL)
        effects.append(by_name(held)["pretraining"].parts[0].ours)
    assert effects[0] is not None
    assert effects[1] is not None
    assert effects[0].value == pytest.approx(effects[1].value)


def test_three_seeds_of_both_decide_by_seeds(tmp_path: Path) -> None:
    close = {"tad": seeds_of([70, 71, 69]), "d3pm_tad": seeds_of([125, 126, 124])}
    wild = {"tad": seeds_of([70, 200, 20]), "d3pm_tad": seeds_of([125, 30, 300])}
    for number, (seeds, verdict) in enumerate(((close, YES), (wild, OPEN))):
        part = by_name(results(tmp_path / str(number), seeds=seeds))["pretraining"].parts[0]
        assert part.decision.verdict == verdict
        assert "over seeds and sentences" in part.decision.reason


def test_seeds_of_one_side_alone_are_not_enough(tmp_path: Path) -> None:
    held = results(tmp_path, seeds={"tad": seeds_of([70, 71, 69])}, spread=SMALL)
    assert "the spread" in by_name(held)["pretraining"].parts[0].decision.reason


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    found = by_name(results(tmp_path, ("tad",)))
    assert {claim.verdict for name, claim in found.items() if name != "steps"} == {ABSENT}
    reasons = {name: claim.parts[0].decision.reason for name, claim in found.items()}
    assert reasons["pretraining"] == "missing: an arm of D3PM (random, linear, TAD)"
    assert reasons["diffusion_lm"].count("Diffusion-LM") == 2
    assert reasons["convergence"] == "missing: validation curves of such a pair"
    assert reasons["frontier"] == "missing: a frontier of a pretrained absorbing arm"
    assert "BLEU of" not in reasons["spindle_bleu"]


def test_nothing_run_makes_a_page_of_claims_that_were_not_run(tmp_path: Path) -> None:
    held = read_results(tmp_path / "none", make_params(), tmp_path / "no.lock")
    assert {claim.verdict for claim in claims(held)} == {ABSENT}
    assert "16 not run" in render_markdown(claim_page.page(held))


def test_bleu_is_decided_by_differences(tmp_path: Path) -> None:
    names = ("tad", "spindle")
    for number, (gained, verdict) in enumerate(((0.05, YES), (-0.05, NO), (0.005, OPEN))):
        told = [text_contrast("spindle", "tad", gained)]
        claim = by_name(results(tmp_path / str(number), names, text_contrasts=told, spread=SMALL))["spindle_bleu"]
        assert claim.parts[0].decision.verdict == verdict


def test_each_protocol_takes_the_arm_that_was_trained_for_it(tmp_path: Path) -> None:
    found = by_name(results(tmp_path, spread=SMALL))
    for protocol, arm in (("valid", "spindle"), ("oracle", "spindle_oracle"), ("released", "spindle_released")):
        assert f"“Our {arm}” over “Our tad”" in found[f"spindle_{protocol}"].parts[0].compared
    assert "“Our spindle_released” under released" in found["spindle_as_published"].parts[0].compared
    assert "the same network scored in two ways" in found["spindle_released"].note


def test_an_arm_trained_under_no_bound_is_scored_by_the_bound_too(tmp_path: Path) -> None:
    found = by_name(results(tmp_path / "all", spread=SMALL))
    assert "“Our spindle_oracle” over “Our tad”" in found["spindle_trained_oracle"].parts[0].compared
    alone = by_name(results(tmp_path / "alone", ("tad", "spindle"), spread=SMALL))
    assert alone["spindle_valid"].parts[0].decision.verdict == YES
    assert alone["spindle_trained_oracle"].parts[0].decision.verdict == ABSENT
    assert "trained under oracle" in alone["spindle_trained_oracle"].parts[0].decision.reason


def test_unlike_kinds_say_so(tmp_path: Path) -> None:
    found = by_name(results(tmp_path, spread=SMALL))
    notes = [part.note for part in found["best_perplexity"].parts]
    assert notes[0] == ""
    assert "unlike kinds" in notes[1]
    assert "unlike kinds" in notes[2]


@pytest.mark.parametrize(("ratio", "verdict"), [(1.2, YES), (0.8, NO), (1.005, OPEN)])
def test_more_steps_are_one_model_against_itself(tmp_path: Path, ratio: float, verdict: Verdict) -> None:
    held = results(tmp_path, ("spindle",))
    edit(tmp_path / "evaluate" / "spindle" / "metrics.json", steps=[steps_row(2, ratio), steps_row(512, 1.0)])
    again = read_results(tmp_path, held.params, tmp_path / "no.lock")
    claim = by_name(again)["steps"]
    assert claim.verdict == verdict
    assert "313.57 over 54.63" in claim.parts[0].published


def test_arms_of_two_machines_are_not_compared(tmp_path: Path) -> None:
    held = results(tmp_path, ("d3pm_tad", "tad"), spread=SMALL)
    for stage in ("train", "evaluate", "sample"):
        edit(tmp_path / stage / "tad" / "metrics.json", **{**PLACE, "device": "cuda"})
    part = by_name(read_results(tmp_path, held.params, tmp_path / "no.lock"))["pretraining"].parts[0]
    assert part.decision.verdict == ABSENT
    assert "on one device" in part.decision.reason


def curve(folder: Path, arm: str, points: list[tuple[int, float]], half: float = 0.001) -> None:
    rows = [(step, nats, nats - half, nats + half) for step, nats in points]
    write_csv(folder / "train" / arm / "validation.csv", "step,nats_per_sentence,low,high", rows)


@pytest.mark.parametrize(
    ("at_300", "end", "spread", "verdicts"),
    [
        (120.0, 119.9, SMALL, [YES, YES]),
        (120.0, 100.0, SMALL, [YES, NO]),
        (160.0, 159.9, SMALL, [NO, YES]),
        (130.2, 100.0, SMALL, [OPEN, NO]),
        (120.0, 119.9, [], [OPEN, OPEN]),
    ],
)
def test_convergence_at_thirty_per_cent_of_the_steps(
    tmp_path: Path, at_300: float, end: float, spread: list[dict[str, Any]], verdicts: list[Verdict]
) -> None:
    held = results(tmp_path, ("d3pm_tad", "tad"), spread=spread)
    curve(tmp_path, "d3pm_tad", [(0, 200.0), (300, 150.0), (1000, 130.0)])
    curve(tmp_path, "tad", [(0, 190.0), (300, at_300), (1000, end)])
    claim = by_name(read_results(tmp_path, held.params, tmp_path / "no.lock"))["convergence"]
    assert [part.decision.verdict for part in claim.parts] == verdicts


def test_a_match_that_the_interval_cannot_tell_is_open(tmp_path: Path) -> None:
    held = results(tmp_path, ("d3pm_tad", "tad"), spread=SMALL)
    curve(tmp_path, "d3pm_tad", [(0, 200.0), (300, 150.0), (1000, 130.0)])
    curve(tmp_path, "tad", [(0, 190.0), (300, 120.0), (1000, 119.9)], half=30.0)
    claim = by_name(read_results(tmp_path, held.params, tmp_path / "no.lock"))["convergence"]
    assert [part.decision.verdict for part in claim.parts] == [OPEN, OPEN]


def test_paired_differences_decide_where_the_metrics_have_them(tmp_path: Path) -> None:
    held = results(tmp_path, ("d3pm_tad", "tad"), spread=SMALL)
    curve(tmp_path, "d3pm_tad", [(0, 200.0), (300, 150.0), (1000, 130.0)], half=30.0)
    curve(tmp_path, "tad", [(0, 190.0), (300, 120.0), (1000, 119.9)], half=30.0)
    gaps = {"against_random": (-10.0, -10.5, -9.5), "against_itself": (5.0, 4.0, 6.0)}
    row = {key: dict(zip(("value", "low", "high"), gap, strict=True)) for key, gap in gaps.items()}
    row |= {"pretrained": "tad", "random": "d3pm_tad", "step": 300.0, "is_scored": True}
    edit(tmp_path / "metrics" / "metrics.json", races=[row])
    claim = by_name(read_results(tmp_path, held.params, tmp_path / "no.lock"))["convergence"]
    assert [part.decision.verdict for part in claim.parts] == [YES, NO]
    assert "Step 300 was scored itself" in claim.parts[0].note


def test_masked_lms_of_two_shapes_are_not_compared(tmp_path: Path) -> None:
    held = results(tmp_path, ("d3pm_tad", "tad"), spread=SMALL)
    arms = held.params.arms | {"tad": held.params.arms["tad"].model_copy(update={"backbone": "larger"})}
    other = held.params.model_copy(update={"arms": arms})
    part = by_name(read_results(tmp_path, other, tmp_path / "no.lock"))["pretraining"].parts[0]
    assert part.decision.verdict == ABSENT
    assert "on one backbone" in part.decision.reason


def test_the_page_has_the_papers_numbers_ours_the_verdict_and_the_rule(tmp_path: Path) -> None:
    held = results(tmp_path, spread=SMALL)
    text = render_markdown(claim_page.page(held))
    assert text == render_markdown(claim_page.page(held))
    assert "78.76 over 125.15: ratio 0.6293" in text
    assert "ratio 0.5593" in text
    assert "greatest minus least" in text
    assert "The spread over seeds in this profile" in text
    (summary,) = [
        block for block in claim_page.short(held) if isinstance(block, Table) and "Every claim" in block.caption
    ]
    assert len(summary.rows) == len(claims(held))


def test_the_metrics_of_the_builder_are_what_the_claims_read(tmp_path: Path) -> None:
    results(tmp_path)
    assert {"contrasts", "text_contrasts", "spread", "seeds"} <= set(read_json(tmp_path / "metrics" / "metrics.json"))
