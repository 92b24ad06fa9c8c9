"""Which strength of the spindle the valid split chooses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthetic_results import write_csv
from table_results import table_params, write_table

from diffusionbert.report import sweep
from diffusionbert.report.evidence import rows
from diffusionbert.report.results import ArmResults, read_results


def swept(folder: Path, validated: dict[float, float]) -> list[ArmResults]:
    params = table_params(("tad", "spindle", "spindle_oracle"))
    row = params.arms["spindle"]
    arms = dict(params.arms)
    for strength in validated:
        settings = row.settings | {"spindle_lambda": strength}
        arms[f"spindle_{strength:g}".replace(".", "")] = row.model_copy(
            update={"settings": settings, "label": f"Spindle {strength:g}"}
        )
    made = write_table(folder, params)
    params = params.model_copy(update={"arms": arms})
    for strength, nats in {0.3: 100.0, **validated}.items():
        name = "spindle" if strength == 0.3 else f"spindle_{strength:g}".replace(".", "")
        lines = [(0, 200.0, 199.0, 201.0), (10, nats, nats - 1, nats + 1)]
        write_csv(made / "train" / name / "validation.csv", "step,nats_per_sentence,low,high", lines)
    return rows(read_results(made, params, folder / "no.lock"))  # the new arms are trained and not scored


def test_the_lowest_bound_on_the_valid_split_is_chosen_among_arms_alike(tmp_path: Path) -> None:
    arms = swept(tmp_path, {0.5: 101.0, 0.1: 99.0})
    (found,) = sweep.sweeps(arms)  # the oracle arm has another objective and no fellow
    assert [arm.arm.settings["spindle_lambda"] for arm in found] == [0.1, 0.3, 0.5]
    table = sweep.table(arms, "cpu")
    assert [row[3] for row in table.rows] == ["chosen", "", ""]
    assert [row[2] for row in table.rows] == ["99.00", "100.0", "101.0"]


def test_without_a_sweep_there_is_none(tmp_path: Path) -> None:
    assert sweep.sweeps(swept(tmp_path, {})) == []


def test_nothing_is_chosen_before_every_arm_is_trained(tmp_path: Path) -> None:
    arms = swept(tmp_path, {0.1: 99.0})
    (found,) = sweep.sweeps(arms)
    assert sweep.chosen(found) is found[0]
    untrained = [found[0], replace(found[1], validation=None)]
    assert sweep.chosen(untrained) is None
    assert [row[3] for row in sweep.table(untrained, "cpu").rows] == ["", ""]
