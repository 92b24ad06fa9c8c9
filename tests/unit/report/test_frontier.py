"""What `ahead` means at equal Self-BLEU, and who is compared with whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from table_results import point, spread_of, table_params, write_table

from diffusionbert.report import frontier
from diffusionbert.report.results import Results, read_results
from diffusionbert.report.verdicts import Verdict

LINE = [point(0.5, 0.2, 0.1), point(1.0, 0.6, 0.5)]
ABOVE = [point(0.5, 0.1, 0.1), point(0.8, 0.3, 0.3), point(1.0, 0.5, 0.5)]


def results(folder: Path, frontiers: dict[str, Any], spread: list[dict[str, Any]] | None = None) -> Results:
    params = table_params(("tad", "spindle", "d3pm_tad", "gpt"))
    made = write_table(folder, params, frontier=frontiers, spread=spread or [])
    return read_results(made, params, folder / "no.lock")


def test_the_difference_is_at_equal_self_bleu_over_the_shared_range() -> None:
    effect = frontier.matched_difference(ABOVE, LINE)
    assert effect is not None
    assert effect.value == pytest.approx(0.1)  # both rise with slope 1 where both are, 0.1 apart
    assert effect.low < 0.1 < effect.high
    assert effect.high - effect.low < 0.1
    turned = frontier.matched_difference(LINE, ABOVE)
    assert turned is not None
    assert turned.value == pytest.approx(-0.1)


def test_wider_points_widen_the_interval_and_equal_draws_give_equal_intervals() -> None:
    wide = [point(each["temperature"], each["self_bleu4"]["value"], each["bleu4"]["value"], 0.05) for each in ABOVE]
    narrow, broad = frontier.matched_difference(ABOVE, LINE), frontier.matched_difference(wide, LINE)
    assert narrow is not None
    assert broad is not None
    assert broad.high - broad.low > 2 * (narrow.high - narrow.low)
    assert frontier.matched_difference(wide, LINE) == broad


def test_ranges_that_do_not_meet_have_no_difference() -> None:
    assert frontier.matched_difference(LINE, [point(1.0, 0.7, 0.5), point(1.5, 0.9, 0.6)]) is None


def test_a_frontier_of_one_point_is_compared_there(tmp_path: Path) -> None:
    for others in ([point(1.0, 0.4, 0.5)], [point(0.5, 0.4, 0.5), point(1.0, 0.4, 0.5)]):
        effect = frontier.matched_difference(LINE, others)
        assert effect is not None
        assert effect.value == pytest.approx(0.3 - 0.5)
    assert frontier.matched_difference(LINE, [point(1.0, 0.7, 0.5)]) is None


@pytest.mark.parametrize(
    ("theirs", "bleu", "verdict"),
    [
        (LINE, (0.0, 0.01, 0.02), Verdict.REPRODUCED),
        (LINE, (0.0, 0.2, 0.4), Verdict.INCONCLUSIVE),
        ([point(0.5, 0.1, 0.3), point(1.0, 0.5, 0.7)], (0.0, 0.01, 0.02), Verdict.CONTRADICTED),
        ([point(0.5, 0.8, 0.3), point(1.0, 0.9, 0.7)], (0.0, 0.01, 0.02), Verdict.NOT_RUN),
    ],
)
def test_ahead_of_a_rival(tmp_path: Path, theirs: Any, bleu: tuple[float, ...], verdict: Verdict) -> None:
    held = results(tmp_path, {"spindle": ABOVE, "d3pm_tad": theirs}, spread_of([0.99, 1.0, 1.01], bleu))
    rival, pretrained = frontier.parts(held)
    assert rival.decision.verdict == verdict
    assert pretrained.decision.verdict == Verdict.NOT_RUN
    assert "a pretrained autoregressive model" in pretrained.decision.reason


def test_nothing_is_claimed_against_a_model_of_random_init_or_against_itself(tmp_path: Path) -> None:
    held = results(tmp_path, {"spindle": ABOVE, "tad": LINE, "gpt": LINE})
    parts = frontier.parts(held)
    assert not any("Our gpt" in part.compared or "Our tad" in part.compared for part in parts)
    assert {part.decision.verdict for part in parts} == {Verdict.NOT_RUN}


def test_the_table_has_every_point_by_rising_self_bleu(tmp_path: Path) -> None:
    table = frontier.table(results(tmp_path, {"spindle": ABOVE[::-1]}))
    assert [row[1] for row in table.rows] == ["0.5", "0.8", "1"]
    assert table.rows[0][2] == "all"


def test_a_frontier_that_no_setting_moves_is_told(tmp_path: Path) -> None:
    still = [point(temperature, 0.3, 0.1) for temperature in (0.5, 0.8, 1.0)]
    assert "moves “Our gpt”" in frontier.table(results(tmp_path / "still", {"spindle": ABOVE, "gpt": still})).note
    assert "moves" not in frontier.table(results(tmp_path / "moved", {"spindle": ABOVE, "gpt": LINE})).note
