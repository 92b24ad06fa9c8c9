"""The rules that decide a claim: from an effect, its interval and the spread over seeds to one of four words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SEEDS = 3  # on both sides, for a verdict that rests on seeds
ONE_RUN = 2.0  # how far a ratio of seconds of which one side was timed once must lie from a limit
# Student's t at 97.5 % by degrees of freedom, from 2; beyond the last the last is used, which is the wider
STUDENT = (4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)


class Verdict(StrEnum):
    REPRODUCED = "reproduced"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive at this scale"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Effect:
    """An estimate with the ends of its 95 % interval, on a scale where 0 is no effect (ln of a ratio; a difference)."""

    value: float
    low: float
    high: float

    def __neg__(self) -> Effect:
        return Effect(-self.value, -self.high, -self.low)

    @property
    def sign(self) -> int:
        """1 or -1 where the interval excludes no effect, else 0."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    reason: str


def log_ratio(interval: Mapping[str, Any]) -> Effect:
    """A ratio {value, low, high} as ln."""
    return Effect(*(math.log(interval[end]) for end in ("value", "low", "high")))


def difference(interval: Mapping[str, Any]) -> Effect:
    return Effect(*(float(interval[end]) for end in ("value", "low", "high")))


def over_seeds(values: Sequence[float], sentences: Effect) -> Effect:
    """The mean over seeds of paired effects; half its interval is sqrt(t^2 sd^2 / n + w^2).

    The first term is Student's interval over the n seeds, which score the same sentences; w is half the width of the
    interval over sentences. Raises ValueError for fewer than SEEDS values.
    """
    if len(values) < SEEDS:
        raise ValueError(f"{len(values)} seeds; expected at least {SEEDS}")
    count = len(values)
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    over = STUDENT[min(count - SEEDS, len(STUDENT) - 1)] * math.sqrt(variance / count)
    half = math.hypot(over, (sentences.high - sentences.low) / 2)
    return Effect(mean, mean - half, mean + half)


def from_seeds(effect: Effect, claimed: int) -> Decision:
    """With SEEDS seeds or more on both sides: the interval over seeds and sentences alone decides."""
    if effect.sign == 0:
        return Decision(Verdict.INCONCLUSIVE, "the interval over seeds and sentences holds no effect")
    return _signed(effect, claimed, "the interval over seeds and sentences excludes no effect")


def from_one_seed(effect: Effect, claimed: int, spread: float | None, over: str = "sentences") -> Decision:
    """With fewer seeds: the interval over sentences must exclude no effect, and the effect exceed the spread."""
    if effect.sign == 0:
        return Decision(Verdict.INCONCLUSIVE, f"the interval over {over} holds no effect")
    if spread is None:
        return Decision(Verdict.INCONCLUSIVE, "fewer than 3 seeds, and no spread over seeds was measured")
    if abs(effect.value) <= spread:
        return Decision(Verdict.INCONCLUSIVE, f"within the spread over seeds ({spread:.3g})")
    return _signed(
        effect, claimed, f"the interval excludes no effect, and the effect exceeds the spread ({spread:.3g})"
    )


def from_one_model(effect: Effect, claimed: int, over: str = "sentences") -> Decision:
    """For one trained model under two ways of scoring or sampling it, where no training seed enters."""
    if effect.sign == 0:
        return Decision(Verdict.INCONCLUSIVE, f"the interval over {over} holds no effect")
    return _signed(effect, claimed, f"one trained model: the interval over {over} excludes no effect")


def within(ratio: Mapping[str, Any], limit: float, *, repeated: bool = True) -> Decision:
    """Reproduced where the whole range of a ratio lies below the limit, contradicted where it lies above.

    A side that was not `repeated` has no range: the ratio must then keep ONE_RUN's distance from the limit.
    """
    allowed = 1.0 if repeated else ONE_RUN
    told = "every repeat lies" if repeated else f"one side was timed once; by a factor of {ONE_RUN:g} and more it lies"
    if ratio["high"] * allowed < limit:
        return Decision(Verdict.REPRODUCED, f"{told} below {limit:g}")
    if ratio["low"] / allowed > limit:
        return Decision(Verdict.CONTRADICTED, f"{told} above {limit:g}")
    if not repeated:
        return Decision(Verdict.INCONCLUSIVE, f"one side was timed once; it lies within a factor of {ONE_RUN:g}")
    return Decision(Verdict.INCONCLUSIVE, f"the repeats lie on both sides of {limit:g}")


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """All parts must hold: one contradicted contradicts the whole, else one undecided leaves it undecided."""
    if not verdicts or set(verdicts) == {Verdict.NOT_RUN}:
        return Verdict.NOT_RUN
    if Verdict.CONTRADICTED in verdicts:
        return Verdict.CONTRADICTED
    return Verdict.REPRODUCED if set(verdicts) == {Verdict.REPRODUCED} else Verdict.INCONCLUSIVE


def _signed(effect: Effect, claimed: int, reason: str) -> Decision:
    return Decision(Verdict.REPRODUCED if effect.sign == claimed else Verdict.CONTRADICTED, reason)
