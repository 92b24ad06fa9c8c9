"""The protocols by name: which terms, under which forward process, and whether they bound -ln p(x0).

`valid`, `oracle` and `released` are told apart in `bound.py`; here each is paired with the schedule it is scored
under, for T steps or for continuous time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from diffusionbert.diffusion.bound import Step, Terms, oracle_terms, released_terms, valid_terms
from diffusionbert.diffusion.continuous import continuous_oracle_terms, continuous_released_terms, continuous_terms
from diffusionbert.diffusion.schedules import RELEASED_CAP, Cosine, Linear, ReleasedSpindle, Schedule, Spindle


@dataclass(frozen=True)
class Scoring:
    """One figure: the process that noises, the terms of a step (or at a real t), and what the figure is."""

    schedule: Schedule
    terms: Callable[[Step], Terms]
    is_bound: bool
    described: str


def protocols(schedule: Schedule, released: ReleasedSpindle, *, continuous: bool) -> dict[str, Scoring]:
    """The three protocols of an arm with this schedule; `released` replaces it by the release's."""
    oracle, as_released = (
        (continuous_oracle_terms, continuous_released_terms) if continuous else (oracle_terms, released_terms)
    )
    return {
        "valid": valid_under(schedule, continuous=continuous),
        "oracle": Scoring(
            schedule,
            lambda step: oracle(step, schedule),
            is_bound=schedule.token_independent,
            described=described(schedule, continuous=continuous),
        ),
        "released": Scoring(
            released,
            lambda step: as_released(step, released),
            is_bound=_released_is_bound(released, continuous=continuous),
            described=described(released, continuous=continuous),
        ),
    }


def valid_under(schedule: Schedule, *, continuous: bool) -> Scoring:
    """`valid` under any schedule: the forward process is free for a fixed model."""
    terms = continuous_terms if continuous else valid_terms
    name = described(schedule, continuous=continuous)
    return Scoring(schedule, lambda step: terms(step, schedule), is_bound=True, described=name)


def _released_is_bound(released: ReleasedSpindle, *, continuous: bool) -> bool:
    """At lambda = 0, and if its cap never acts; in continuous time it always does."""
    return released.spindle_lambda == 0 and not continuous and 1 - 1 / released.num_steps <= RELEASED_CAP


def described(schedule: Schedule, *, continuous: bool = False) -> str:
    """A schedule in words, as figures carry it."""
    steps = "T = infinity" if continuous else f"T = {schedule.num_steps}"
    if isinstance(schedule, Spindle) and not schedule.token_independent:
        return f"spindle, lambda {schedule.spindle_lambda:g}, {schedule.mean} mean, {steps}"
    if isinstance(schedule, ReleasedSpindle):
        return f"the release's, lambda {schedule.spindle_lambda:g}, {steps}"
    return f"{'cosine' if isinstance(schedule, Cosine) else 'linear'}, {steps}"


def same_process(first: Schedule, second: Schedule) -> bool:
    """Whether two schedules noise alike, so that one pass of the denoiser serves both."""
    return _process(first) == _process(second)


def _process(schedule: Schedule) -> tuple[str, int, float, str]:
    """What tells one forward process of an arm from another; a spindle of lambda 0 is the linear one."""
    name, spindle_lambda, mean = type(schedule).__name__, 0.0, ""
    if isinstance(schedule, Spindle):
        spindle_lambda, mean = schedule.spindle_lambda, schedule.mean
        if spindle_lambda == 0:
            name, mean = Linear.__name__, ""
    if isinstance(schedule, ReleasedSpindle):
        spindle_lambda = schedule.spindle_lambda
    return name, schedule.num_steps, spindle_lambda, mean
