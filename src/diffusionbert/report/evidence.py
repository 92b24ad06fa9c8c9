"""What results hold for and against a claim: effects of two arms, what seeds move, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from diffusionbert.report.paper import Row
from diffusionbert.report.results import ArmResults, Results, Values
from diffusionbert.report.verdicts import (
    SEEDS,
    Decision,
    Effect,
    Verdict,
    difference,
    from_one_seed,
    from_seeds,
    log_ratio,
    over_seeds,
)

OWN = ("valid", "bound", "exact")  # the figure that a system stands by; each has one of them
KINDS = {"valid": "bound", "bound": "bound", "exact": "exact value"}


@dataclass(frozen=True)
class Part:
    """One comparison of a claim, as the page tells it."""

    compared: str
    published: str
    ours: Effect | None
    is_ratio: bool  # ours is ln of a ratio, else a difference
    decision: Decision
    note: str = ""


class MissingError(LookupError):
    """What a claim needs and results do not have, in words."""


def not_run(compared: str, published: str, missing: str, *, is_ratio: bool = True) -> Part:
    return Part(compared, published, None, is_ratio, Decision(Verdict.NOT_RUN, f"missing: {missing}"))


def rows(results: Results) -> list[ArmResults]:
    """The arms that are rows: replicates are seeds of theirs."""
    return [arm for arm in results.arms if arm.arm.replicate_of is None]


def of_row(results: Results, row: Row, objective: str | None = None) -> ArmResults | None:
    """The first scored arm of a published design; where several were trained, one of that objective before others."""
    matching = [arm for arm in rows(results) if arm.design == row.design and arm.evaluate]
    preferred = [arm for arm in matching if arm.arm.settings.get("objective") == objective]
    return next(iter(preferred or matching), None)


def own_figure(arm: ArmResults) -> str:
    """Raises MissingError where the arm has none."""
    held = (arm.evaluate or {}).get("protocols", {})
    for name in OWN:
        if name in held:
            return name
    raise MissingError(f"a figure of “{arm.label}”")


def same_group(one: ArmResults, other: ArmResults) -> None:
    """Raises MissingError where the two were not made alike: elsewhere, or as masked LMs of different shapes."""
    if one.group != other.group:
        raise MissingError(f"“{one.label}” and “{other.label}” on one device, dtype and number of threads")
    if "autoregressive" not in (one.arm.system, other.arm.system) and one.arm.backbone != other.arm.backbone:
        raise MissingError(f"“{one.label}” and “{other.label}” on one backbone")


def perplexity(results: Results, one: ArmResults, other: ArmResults, figure: str | None = None) -> Effect:
    """ln of the perplexity per word of one over the other's, paired over sentences; None is each one's own figure."""
    same_group(one, other)
    figures = (figure or own_figure(one), figure or own_figure(other))
    for row in (results.metrics or {}).get("contrasts", []):
        if (row["one"], row["other"], row["figure_one"], row["figure_other"]) == (one.name, other.name, *figures):
            return log_ratio(row["perplexity_per_word_ratio"])
        if (row["other"], row["one"], row["figure_other"], row["figure_one"]) == (one.name, other.name, *figures):
            return -log_ratio(row["perplexity_per_word_ratio"])
    return _from_baseline(results, one, other, figures)


def _from_baseline(results: Results, one: ArmResults, other: ArmResults, figures: tuple[str, str]) -> Effect:
    """The same from the pairs of an arm and its baseline. Raises MissingError."""
    for arm, baseline, sign in ((one, other, 1), (other, one, -1)):
        if arm.arm.baseline == baseline.name and arm.paired and len(set(figures)) == 1:
            held = arm.paired["figures"].get(figures[0])
            if held is not None:
                effect = log_ratio(held["perplexity_per_word_ratio"])
                return effect if sign == 1 else -effect
    raise MissingError(f"“{one.label}” against “{other.label}” under {' and '.join(dict.fromkeys(figures))}")


def bleu(results: Results, one: ArmResults, other: ArmResults) -> Effect:
    """BLEU-4 of one minus the other's, over unpaired samples. Raises MissingError."""
    same_group(one, other)
    for row in (results.metrics or {}).get("text_contrasts", []):
        if (row["one"], row["other"]) == (one.name, other.name):
            return difference(row["bleu4"])
        if (row["other"], row["one"]) == (one.name, other.name):
            return -difference(row["bleu4"])
    raise MissingError(f"BLEU of “{one.label}” against “{other.label}”")


def decide_perplexity(
    results: Results, one: ArmResults, other: ArmResults, effect: Effect, claimed: int, figure: str | None = None
) -> tuple[Effect, Decision]:
    """By seeds where both arms have enough of them, else by the spread that was measured; the effect so decided on."""
    values = _seedwise(results, one, other, "perplexity_per_word", figure, ratio=True)
    if len(values) >= SEEDS:
        effect = over_seeds(values, effect)
        return effect, from_seeds(effect, claimed)
    return effect, from_one_seed(effect, claimed, spread(results, "perplexity_per_word_ratio", figure))


def decide_bleu(
    results: Results, one: ArmResults, other: ArmResults, effect: Effect, claimed: int
) -> tuple[Effect, Decision]:
    values = _seedwise(results, one, other, "bleu4", None, ratio=False)
    if len(values) >= SEEDS:
        effect = over_seeds(values, effect)
        return effect, from_seeds(effect, claimed)
    return effect, from_one_seed(effect, claimed, spread(results, "bleu4"), "samples")


def spread(results: Results, statistic: str, figure: str | None = None) -> float | None:
    """The range over seeds of a pair's paired effects (ln of a ratio; a difference): the widest of all pairs measured.

    Under `figure` where the pair was scored so, else under its own. None where no pair has SEEDS seeds on both sides.
    """
    pairs = [pair for pair in (results.metrics or {}).get("spread", []) if len(pair["seeds"]) >= SEEDS]
    under = [next((each for each in pair["figures"] if each["figure_one"] == figure), pair) for pair in pairs]
    held = [each[statistic]["values"] for each in under if statistic in each]
    if statistic.endswith("ratio"):
        held = [[math.log(value) for value in values] for values in held]
    return max((max(values) - min(values) for values in held), default=None)


def _seedwise(
    results: Results, one: ArmResults, other: ArmResults, key: str, figure: str | None, *, ratio: bool
) -> list[float]:
    """The effect at every seed that both arms have."""
    ours, theirs = (_by_seed(results, arm, key, figure) for arm in (one, other))
    shared = [seed for seed in ours if seed in theirs]
    if ratio:
        return [math.log(ours[seed] / theirs[seed]) for seed in shared]
    return [ours[seed] - theirs[seed] for seed in shared]


def _by_seed(results: Results, arm: ArmResults, key: str, figure: str | None) -> dict[int, float]:
    held: Values = (results.metrics or {}).get("seeds", {}).get(arm.name, {})
    named = held if figure is None else held.get("figures", {}).get(figure, {})
    seeds: Sequence[int] = held.get("seeds", [])
    return dict(zip(seeds, named.get(key, {}).get("values", []), strict=False))
