"""Arms that differ in the spindle's strength alone: which one the valid split chooses, and all protocols of each."""

from __future__ import annotations

import json
from collections.abc import Sequence

from diffusionbert.report.document import NOT_APPLICABLE, NOT_RUN, Table
from diffusionbert.report.formats import number, perplexity
from diffusionbert.report.results import ArmResults
from diffusionbert.report.tables import PROTOCOLS

STRENGTH = "spindle_lambda"


def sweeps(arms: Sequence[ArmResults]) -> list[list[ArmResults]]:
    """Two arms and more that are one but for lambda, by rising lambda."""
    alike: dict[str, list[ArmResults]] = {}
    for arm in arms:
        if STRENGTH in arm.arm.settings:
            rest = arm.arm.model_dump(include={"tokenizer", "system", "backbone", "seed"})
            rest |= {"settings": {key: value for key, value in arm.arm.settings.items() if key != STRENGTH}}
            alike.setdefault(json.dumps(rest, sort_keys=True), []).append(arm)
    return [sorted(group, key=_strength) for group in alike.values() if len(group) > 1]


def table(arms: Sequence[ArmResults], group: str) -> Table:
    """A row per arm of every sweep; the chosen one has the lowest last bound on the valid split."""
    lines = []
    for sweep in sweeps(arms):
        best = chosen(sweep)
        lines += [_line(arm, "chosen" if arm is best else "") for arm in sweep]
    return Table(
        f"The strength of the spindle, chosen on the valid split ({group})",
        [
            "Arm",
            "Lambda",
            "Valid split (nats per sentence)",
            "",
            *[f"Test, {name}: PPL per word" for name in PROTOCOLS],
        ],
        lines,
        frozenset({1, 2, 4, 5, 6}),
        "The valid split is scored by the bound of protocol valid, whatever an arm was trained under. The choice is "
        "among the arms of one training objective.",
    )


def chosen(sweep: Sequence[ArmResults]) -> ArmResults | None:
    """None until every arm of the sweep has been trained."""
    if not all(arm.validation for arm in sweep):
        return None
    return min(sweep, key=_validated)


def _line(arm: ArmResults, mark: str) -> list[str]:
    held = None if arm.evaluate is None else arm.evaluate["protocols"]
    figures = [NOT_RUN if held is None else perplexity(held.get(name)) for name in PROTOCOLS]
    validated = number(_validated(arm)) if arm.validation else NOT_APPLICABLE
    return [arm.label, f"{_strength(arm):g}", validated, mark, *figures]


def _validated(arm: ArmResults) -> float:
    return float((arm.validation or [])[-1]["nats_per_sentence"])


def _strength(arm: ArmResults) -> float:
    return float(arm.arm.settings[STRENGTH])
