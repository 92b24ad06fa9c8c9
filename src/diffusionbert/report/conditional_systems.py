"""What the systems of a corpus of pairs begin from; beside DiffusionBERT's, the rows that are its baselines."""

from __future__ import annotations

from collections.abc import Sequence

from diffusionbert.report.document import NOT_APPLICABLE
from diffusionbert.report.evidence import rows
from diffusionbert.report.formats import number
from diffusionbert.report.results import ArmResults, Results

PRETRAINED, RANDOM = "pretrained", "random"


def ours(results: Results, schedule: str | None = None) -> list[ArmResults]:
    """The DiffusionBERT arms, of one schedule or of any."""
    designs = [(arm, arm.design) for arm in rows(results)]
    return [
        arm
        for arm, design in designs
        if (design.system, design.init) == ("absorbing", PRETRAINED) and schedule in (None, design.schedule)
    ]


def baselines(results: Results) -> list[ArmResults]:
    """Every other system that is trained."""
    own = {arm.name for arm in ours(results)}
    return [arm for arm in rows(results) if arm.name not in own]


def init(arm: ArmResults) -> str:
    return arm.design.init or NOT_APPLICABLE


def beginnings(results: Results) -> str:
    """A sentence on what the rows begin from, and what that mixes up where they begin from different things."""
    held = {begun: [arm for arm in rows(results) if arm.design.init == begun] for begun in (PRETRAINED, RANDOM)}
    told = [f"{_named(arms)} from {begun} weights" for begun, arms in held.items() if arms]
    if not told:
        return ""
    trained = {arm.train["steps"] for arm in rows(results) if arm.train is not None}
    begins = f"What each begins from: {', '.join(told)}"
    if len(trained) == 1:
        begins += f"; each was then trained on these pairs for {number(trained.pop())} steps"
    if len(told) == 1:
        return f"{begins}."
    return f"{begins}. What one of the former has over one of the latter is pretraining and system together."


def _named(arms: Sequence[ArmResults]) -> str:
    names = [f"“{arm.label}”" for arm in arms]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
