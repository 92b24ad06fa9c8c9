from __future__ import annotations

from typing import Any

import pytest

from diffusionbert.report.paper import Design
from diffusionbert.report.speed_claims import comparable_steps, speed_claims
from diffusionbert.report.verdicts import Verdict

DESIGNS = {
    "d3pm": Design("absorbing", "random", "linear", "tad"),
    "linear": Design("absorbing", "pretrained", "linear", "tad"),
    "ours": Design("absorbing", "pretrained", "spindle", "tad"),
    "gpt": Design("autoregressive", "random", None, None),
    "lm": Design("diffusion_lm", "random", "cosine", "lte"),
}
LABELS = {name: name.upper() for name in DESIGNS}


def row(num_steps: int, seconds: float, runs: int = 3) -> dict[str, Any]:
    spread = {"median": seconds, "min": 0.9 * seconds, "max": 1.1 * seconds}
    return {"num_steps": num_steps, "seconds_per_sentence": spread, "runs": runs}


def verdicts(gpt: float, lm: float) -> list[Verdict]:
    rows = {
        "d3pm": [row(16, 9.0)],
        "linear": [row(16, 9.0), row(128, 99.0)],
        "ours": [row(16, 1.0), row(128, 5.0)],
        "gpt": [row(64, gpt)],
    }
    rows["lm"] = [row(200, 0.1), row(2000, lm)]
    return [claim.verdict for claim in speed_claims(DESIGNS, LABELS, {"arms": rows})]


def test_the_papers_own_seconds_are_comparable_at_sixteen_steps() -> None:
    assert comparable_steps() == 16


@pytest.mark.parametrize(
    ("gpt", "lm", "expected"),
    [
        (1.0, 50.0, [Verdict.REPRODUCED, Verdict.REPRODUCED]),
        (0.1, 1.0, [Verdict.CONTRADICTED, Verdict.CONTRADICTED]),
        (0.5, 5.0, [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE]),
    ],
)
def test_the_range_over_repeats_decides(gpt: float, lm: float, expected: list[Verdict]) -> None:
    assert verdicts(gpt, lm) == expected


def test_a_run_that_was_stopped_is_told_and_asks_for_more() -> None:
    def of(seconds: float) -> Any:
        stopped = row(2000, seconds, runs=1) | {"stopped_after_steps": 60}
        return speed_claims(DESIGNS, LABELS, {"arms": {"ours": [row(128, 10.0)], "lm": [stopped]}})[1].parts[0]

    assert (of(12.0).decision.verdict, of(120.0).decision.verdict) == (Verdict.INCONCLUSIVE, Verdict.REPRODUCED)
    assert "stopped at step 60" in of(120.0).note


def test_what_was_not_timed_is_named() -> None:
    gpt, lm = speed_claims(DESIGNS, LABELS, {"arms": {"ours": [row(16, 1.0)]}})
    assert gpt.parts[0].decision.reason == "missing: seconds of GPT"
    assert lm.parts[0].decision.reason == "missing: seconds of DiffusionBERT at 128 steps"
    assert {claim.verdict for claim in speed_claims({}, {}, None)} == {Verdict.NOT_RUN}
