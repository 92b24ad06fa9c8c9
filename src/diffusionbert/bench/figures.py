"""What a benchmark tells: a number, its target, and the times it came from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from diffusionbert.bench.clock import Samples, processor_ratio, ratio

Sense = Literal["at most", "at least"]


@dataclass(frozen=True)
class Figure:
    """One line of the page. `value` is in `unit`; without a target it is there to be known."""

    what: str
    value: float | str
    unit: str = ""
    target: float | None = None
    sense: Sense = "at most"
    times: dict[str, dict[str, Any]] = field(default_factory=dict)  # by what was timed, from `Samples.told`
    processor_value: float | None = None  # the value from processor time, on a CPU
    note: str = ""

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def ratio_of(
    what: str, ours: tuple[str, Samples], other: tuple[str, Samples], target: float | None = None, note: str = ""
) -> Figure:
    """The first one's time over the second's, round by round, and the median of that."""
    (name, mine), (other_name, theirs) = ours, other
    return Figure(
        what,
        round(ratio(mine, theirs), 4),
        "x",
        target,
        times={name: mine.told(), other_name: theirs.told()},
        processor_value=round(processor_ratio(mine, theirs), 4),
        note=note,
    )


def milliseconds_of(what: str, name: str, samples: Samples, target: float | None = None, note: str = "") -> Figure:
    return Figure(what, round(1e3 * samples.median, 3), "ms", target, times={name: samples.told()}, note=note)


def met(figure: dict[str, Any]) -> bool | None:
    """Whether a figure, as JSON has it, keeps its target; None without one."""
    if figure["target"] is None:
        return None
    if figure["sense"] == "at least":
        return bool(figure["value"] >= figure["target"])
    return bool(figure["value"] <= figure["target"])


def verdict(figure: dict[str, Any]) -> str:
    """met, missed or nothing to meet; by how much it is missed."""
    kept = met(figure)
    if kept is None:
        return ""
    return "met" if kept else f"missed by {abs(figure['value'] / figure['target'] - 1):.0%}"


def number(value: float | str, unit: str) -> str:
    """A figure's value with its unit, four digits at most."""
    if isinstance(value, str):
        return value
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{digits} {unit}".strip() if unit not in ("x", "%") else f"{digits}{unit}"
