"""How soon the pretrained arm is where the random one ends, from the validation curves (Fig. 4 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from diffusionbert.report.document import Table
from diffusionbert.report.evidence import Part, not_run, rows, spread
from diffusionbert.report.formats import number
from diffusionbert.report.paper import BUDGET_SHARE, Design
from diffusionbert.report.results import ArmResults, Results, Rows
from diffusionbert.report.verdicts import Decision, Effect, Verdict, difference, from_one_seed

SHARE = f"{100 * BUDGET_SHARE:.0f} %"
HEADLINE = Design("absorbing", "pretrained", "linear", "tad")  # the pair that differs in nothing but its first weights
PUBLISHED = f"{SHARE} of the training steps"


@dataclass(frozen=True)
class Race:
    """A pretrained arm and the random arm of the same design, trained for as many steps on the same objective."""

    pretrained: ArmResults
    random: ArmResults

    @property
    def steps(self) -> float:
        return float((self.random.validation or [])[-1]["step"])

    @property
    def goal(self) -> float:
        """The random arm's last validation figure, nats per sentence."""
        return float((self.random.validation or [])[-1]["nats_per_sentence"])

    @property
    def passed(self) -> float | None:
        """The step at which the pretrained arm first passes the goal, linear between logged steps; None if never."""
        return first_below(self.pretrained.validation or [], self.goal)


def races(results: Results) -> list[Race]:
    """Every pretrained arm with a validation curve beside its random twin's."""
    found = []
    for arm in rows(results):
        twin = next((other for other in rows(results) if _twins(arm, other)), None)
        if twin is not None:
            found.append(Race(arm, twin))
    return found


def _twins(one: ArmResults, other: ArmResults) -> bool:
    if not one.validation or not other.validation or one.group != other.group:
        return False
    if one.arm.settings | {"init": "random"} != other.arm.settings or one.arm.settings.get("init") != "pretrained":
        return False
    same = all(getattr(one.arm, key) == getattr(other.arm, key) for key in ("system", "tokenizer", "backbone"))
    return same and one.validation[-1]["step"] == other.validation[-1]["step"]


def first_below(curve: Rows, goal: float) -> float | None:
    """The first step at which a curve, straight between its logged points, is at or below `goal`."""
    previous = None
    for row in curve:
        if row["nats_per_sentence"] <= goal:
            if previous is None:
                return float(row["step"])
            share = (previous["nats_per_sentence"] - goal) / (previous["nats_per_sentence"] - row["nats_per_sentence"])
            return float(previous["step"] + share * (row["step"] - previous["step"]))
        previous = row
    return None


def at(curve: Rows, step: float, column: str = "nats_per_sentence") -> float:
    """A column at a step within the curve, straight between logged points."""
    for low, high in pairwise(curve):
        if low["step"] <= step <= high["step"]:
            share = (step - low["step"]) / (high["step"] - low["step"])
            return float((1 - share) * low[column] + share * high[column])
    raise ValueError(f"step {step:g} is outside the curve, which goes from {curve[0]['step']} to {curve[-1]['step']}")


def passing(results: Results) -> Table:
    """The race of every pair, in words of Fig. 4."""
    table = []
    for race in races(results):
        passed = race.passed
        told = (
            "never" if passed is None else f"{number(round(passed))} ({100 * passed / race.steps:.0f} % of the steps)"
        )
        logged = next(
            (row["step"] for row in race.pretrained.validation or [] if row["nats_per_sentence"] <= race.goal), None
        )
        first = "never" if logged is None else number(int(logged))
        table.append([race.pretrained.label, race.random.label, number(race.goal), told, first])
    return Table(
        "When the pretrained arm passes the random arm's final bound",
        [
            "Pretrained",
            "Random init",
            "Its final bound on the valid split (nats per sentence)",
            "Passed at step, interpolated",
            "First logged step at or below",
        ],
        table,
        frozenset({2, 3, 4}),
        "Interpolated: on the straight line between two logged steps. The curve is logged before the first step and "
        "then every `train.valid_every` steps, so that the crossing is known no finer than that.",
    )


def parts(results: Results) -> list[Part]:
    """At 30 % of the steps: the pretrained arm against the random arm's end, and against its own."""
    found = [race for race in races(results) if race.pretrained.design == HEADLINE]
    if not found:
        return [not_run("a pretrained arm and its random twin", PUBLISHED, "validation curves of such a pair")]
    return [part for race in found for part in (_against_random(results, race), _against_itself(results, race))]


def _against_random(results: Results, race: Race) -> Part:
    effect = _gap(results, race, race.random)
    decision = from_one_seed(effect, -1, spread(results, "difference_nats_per_sentence"))
    compared = f"“{race.pretrained.label}” at {SHARE} of its steps against “{race.random.label}” at its end"
    return Part(
        f"{compared}, nats per sentence on the valid split", PUBLISHED, effect, False, decision, _passes(results, race)
    )


def _against_itself(results: Results, race: Race) -> Part:
    """What is left to gain: matched where its whole interval is within the spread over seeds, not where beyond it."""
    effect = _gap(results, race, race.pretrained)
    compared = f"“{race.pretrained.label}” at {SHARE} of its steps against its own end, nats per sentence"
    return Part(compared, PUBLISHED, effect, False, matched(effect, spread(results, "difference_nats_per_sentence")))


def matched(effect: Effect, noise: float | None) -> Decision:
    """Whether a figure that should be as low as another is: its whole interval on one side of the spread over seeds."""
    if noise is None:
        return Decision(Verdict.INCONCLUSIVE, "no spread over seeds was measured, which says what a match is")
    if effect.high <= noise:
        return Decision(Verdict.REPRODUCED, f"what is left to gain is within the spread over seeds ({noise:.3g})")
    if effect.low > noise:
        return Decision(Verdict.CONTRADICTED, f"what is left exceeds the spread over seeds ({noise:.3g})")
    return Decision(Verdict.INCONCLUSIVE, f"its interval holds the spread over seeds ({noise:.3g})")


def _gap(results: Results, race: Race, other: ArmResults) -> Effect:
    """The pretrained arm at 30 % minus the other at its end, paired over the sentences.

    Where the metrics have no such pair (they were made by an earlier version), from the logged curves with intervals as
    if drawn apart, which is the wider.
    """
    if (held := _measured(results, race)) is not None:
        return difference(held["against_random" if other is race.random else "against_itself"])
    curve, end = race.pretrained.validation or [], (other.validation or [])[-1]
    step = BUDGET_SHARE * race.steps
    value = at(curve, step) - end["nats_per_sentence"]
    half = math.hypot(_half([at(curve, step, "low"), at(curve, step, "high")]), _half([end["low"], end["high"]]))
    return Effect(value, value - half, value + half)


def _measured(results: Results, race: Race) -> dict[str, Any] | None:
    pair = (race.pretrained.name, race.random.name)
    held: list[dict[str, Any]] = (results.metrics or {}).get("races", [])
    return next((each for each in held if (each["pretrained"], each["random"]) == pair), None)


def _half(ends: Sequence[float]) -> float:
    return (ends[1] - ends[0]) / 2


def _passes(results: Results, race: Race) -> str:
    held = _measured(results, race)
    if held is None:
        wide = (
            "Both figures are over the same sentences, of which these results keep each one's own interval alone, so "
            "that the interval of the difference is taken too wide."
        )
    elif held["is_scored"]:
        wide = f"Step {held['step']:g} was scored itself."
    else:
        wide = (
            f"Step {held['step']:g} lies between two that were scored, on a straight line, which is above a curve that "
            "falls ever slower."
        )
    if race.passed is None:
        return f"“{race.pretrained.label}” never passes the random arm's final bound. {wide}"
    share = f"{100 * race.passed / race.steps:.0f} % of the steps"
    return f"It passes the random arm's final bound at step {number(round(race.passed))}, {share}. {wide}"
