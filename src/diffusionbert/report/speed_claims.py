"""The claims that a clock decides; they stand on the page of timings, which differs from run to run."""

from __future__ import annotations

from typing import Any

from diffusionbert.report.claims import Claim
from diffusionbert.report.evidence import Part, not_run
from diffusionbert.report.paper import TABLE_2_STEPS, TABLE_3, Design, SpeedRow
from diffusionbert.report.verdicts import log_ratio, within

COMPARABLE = 2.0  # at most twice the seconds
DIFFUSIONBERT = "DiffusionBERT"
SYSTEMS = {"GPT": "autoregressive", "Diffusion-LM": "diffusion_lm"}

Measured = dict[str, Any]


def speed_claims(designs: dict[str, Design], labels: dict[str, str], speed: Measured | None) -> list[Claim]:
    """`designs` and `labels` by arm, `speed` as the stage of that name wrote it."""
    steps = comparable_steps()
    return [
        Claim(
            "speed_gpt",
            f"Its speed is comparable to GPT's: at {steps} steps at most {COMPARABLE:g} times as long",
            [_part(designs, labels, speed, "GPT", steps, COMPARABLE)],
            "The number of steps is the largest at which this holds of the paper's own Table 3.",
        ),
        Claim(
            "speed_diffusion_lm",
            "It is faster than Diffusion-LM, each at the number of steps of its row of Table 2",
            [_part(designs, labels, speed, "Diffusion-LM", TABLE_2_STEPS, 1.0)],
        ),
    ]


def comparable_steps() -> int:
    """The most steps at which the paper's DiffusionBERT takes at most COMPARABLE times GPT's seconds."""
    limit = COMPARABLE * _published("GPT").seconds
    return max(row.num_steps for row in TABLE_3 if row.method == DIFFUSIONBERT and row.seconds <= limit)


def _published(method: str, num_steps: int | None = None) -> SpeedRow:
    return next(row for row in TABLE_3 if row.method == method and num_steps in (None, row.num_steps))


def _part(
    designs: dict[str, Design],
    labels: dict[str, str],
    speed: Measured | None,
    rival: str,
    num_steps: int,
    limit: float,
) -> Part:
    one, other = _published(DIFFUSIONBERT, num_steps), _published(rival)
    published = f"{one.seconds:.2f} over {other.seconds:.2f} s: ratio {one.seconds / other.seconds:.3f}"
    ours = _measured(designs, speed, "absorbing", "pretrained", num_steps)
    theirs = _measured(designs, speed, SYSTEMS[rival], None, None, other.num_steps)
    if ours is None or theirs is None:
        absent = f"{DIFFUSIONBERT} at {num_steps} steps" if ours is None else rival
        return not_run(f"{DIFFUSIONBERT} at {num_steps} steps over {rival}", published, f"seconds of {absent}")
    mine, his = (row["seconds_per_sentence"] for _, row in (ours, theirs))
    ratio = {
        "value": mine["median"] / his["median"],
        "low": mine["min"] / his["max"],
        "high": mine["max"] / his["min"],
    }
    compared = (
        f"“{labels[ours[0]]}” at {num_steps} steps over “{labels[theirs[0]]}” at {theirs[1]['num_steps']}, "
        "seconds per sentence"
    )
    repeated = min(row.get("runs", 1) for _, row in (ours, theirs)) > 1
    stopped = theirs[1].get("stopped_after_steps")
    note = "" if stopped is None else f"{rival} was stopped at step {stopped}; its seconds are those in proportion."
    return Part(compared, published, log_ratio(ratio), True, within(ratio, limit, repeated=repeated), note)


def _measured(
    designs: dict[str, Design],
    speed: Measured | None,
    system: str,
    init: str | None,
    num_steps: int | None,
    wished: int | None = None,
) -> tuple[str, Measured] | None:
    """A timed arm of the system, with the spindle as in the paper's Table 3 where there is one, and its row: of
    `num_steps`, else of the wished number, else its first.
    """
    timed = {name: rows for name, rows in (speed or {}).get("arms", {}).items() if name in designs}
    for name, rows in sorted(timed.items(), key=lambda item: designs[item[0]].schedule != "spindle"):
        design = designs[name]
        if design.system != system or init not in (None, design.init):
            continue
        found = [row for row in rows if num_steps in (None, row["num_steps"])]
        if found:
            return name, next((row for row in found if row["num_steps"] == wished), found[0])
    return None
