"""What a run cost, by stage and arm, one table per machine; kept apart from the results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusionbert.config import Params
from diffusionbert.files import read_json
from diffusionbert.report import plots, prose
from diffusionbert.report.document import (
    NOT_APPLICABLE,
    NOT_RUN,
    Block,
    Document,
    Figure,
    Section,
    Table,
    Text,
)
from diffusionbert.report.formats import number
from diffusionbert.report.paper import CORPUS, SOURCE, TABLE_3

STAGES = ("train", "evaluate", "sample")


@dataclass(frozen=True)
class Timings:
    """timing/<stage>/<arm>.json by stage and arm, and what the speed stage measured."""

    params: Params
    stages: dict[tuple[str, str], dict[str, Any]]
    speed: dict[str, Any] | None


def read_timings(folder: Path, params: Params) -> Timings:
    paths = {(stage, arm): folder / "timing" / stage / f"{arm}.json" for stage in STAGES for arm in params.arms}
    stages = {key: read_json(path) for key, path in paths.items() if path.exists()}
    speed = folder / "speed" / "metrics.json"
    return Timings(params, stages, read_json(speed) if speed.exists() else None)


def timings(held: Timings) -> Document:
    """timings.html and timings.md."""
    return Document(
        f"{held.params.report.title}: timings",
        [f"Profile `{held.params.profile}`. {text}" for text in prose.TIMINGS],
        [
            Section("speed", "Speed against sampling steps (Table 3 of the paper)", _speed(held)),
            Section("costs", "Seconds and memory by stage and arm", _costs(held)),
        ],
        [("report", "The report")],
    )


def _speed(held: Timings) -> list[Block]:
    published = Table(
        caption=f"Table 3 of the paper ({SOURCE}, {CORPUS}, one A100; for how many texts is not stated)",
        columns=["Method", "Steps", "Seconds", "PPL per word"],
        rows=[
            [row.method, number(row.num_steps), f"{row.seconds:.2f}", f"{row.perplexity_per_word:.2f}"]
            for row in TABLE_3
        ],
        numeric=frozenset({1, 2, 3}),
    )
    if held.speed is None:
        return [Text(f"Speed: {NOT_RUN}."), published]
    labels = {name: arm.label for name, arm in held.params.arms.items()}
    arms = {labels[name]: rows for name, rows in held.speed["arms"].items() if name in labels}
    drawing = plots.speed(arms)
    caption = "Seconds per sentence against sampling steps, both axes logarithmic"
    figure: list[Block] = (
        [] if drawing is None else [Figure(caption, drawing, "One line an arm, the median of repeats")]
    )
    return [*figure, _speed_table(held.speed, arms), published]


def _speed_table(speed: dict[str, Any], arms: dict[str, Any]) -> Table:
    rows = []
    for label, measured in arms.items():
        for row in measured:
            seconds = row["seconds_per_sentence"]
            spread = f"{number(seconds['median'])} [{number(seconds['min'])}, {number(seconds['max'])}]"
            rows.append([label, number(row["num_steps"]), spread, number(row.get("denoiser_calls"))])
    place = f"{speed['device']}, {speed['dtype']}, threads {speed['threads']}"
    batch = f"{number(speed['num_samples'])} sentences of {number(speed['length'])} tokens at a time"
    return Table(
        caption=f"Ours ({place}): {batch}",
        columns=["Arm", "Steps", "Seconds per sentence: median [min, max]", "Denoiser calls"],
        rows=rows,
        numeric=frozenset({1, 2, 3}),
    )


def _costs(held: Timings) -> list[Block]:
    machines: dict[str, list[list[str]]] = {}
    for (stage, arm), timing in held.stages.items():
        machine = f"{timing.get('processor', NOT_APPLICABLE)}, {timing.get('cores', NOT_APPLICABLE)} cores"
        row = [
            held.params.arms[arm].label,
            stage,
            number(timing["seconds"]),
            number(timing["peak_memory_mb"]),
        ]
        machines.setdefault(machine, []).append([*row, number(timing.get("tokens_per_second"))])
    if not machines:
        return [Text(f"Costs: {NOT_RUN}.")]
    columns = ["Arm", "Stage", "Seconds", "Peak memory (MB)", "Tokens per second"]
    return [Table(f"On {machine}", columns, rows, frozenset({2, 3, 4})) for machine, rows in sorted(machines.items())]
