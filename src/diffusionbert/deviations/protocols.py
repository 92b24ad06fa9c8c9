"""What the accounting is worth: the same trained arm, the same noise, another way to count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from diffusionbert.deviations.figures import Array, Figures, bootstrap, exact, of_interval
from diffusionbert.deviations.ground import SHARE, SPINDLE, Ground
from diffusionbert.deviations.trials import Trial, trained
from diffusionbert.diffusion.bound import Step, negative_log_prediction, oracle_terms, released_terms, valid_terms
from diffusionbert.diffusion.schedules import Linear, ReleasedSpindle, Schedule, reveal_probability

TENTH = 0.1


def valid(schedule: Schedule, *, schedule_factor: bool = True) -> Callable[[Step], Tensor]:
    return lambda step: valid_terms(step, schedule, schedule_factor=schedule_factor).total


def oracle(schedule: Schedule) -> Callable[[Step], Tensor]:
    return lambda step: oracle_terms(step, schedule).total


def released(schedule: ReleasedSpindle) -> Callable[[Step], Tensor]:
    return lambda step: released_terms(step, schedule).total


def plain_posterior(keep: Tensor, s: Tensor, t: Tensor, num_steps: int) -> Tensor:
    """The release's r = beta k_s / (beta k_s + 1 - k_s), beta = (t - s)/(T - s), for marginals k of any schedule."""
    beta = ((t.double() - s.double()) / (num_steps - s.double())).unsqueeze(-1)
    return beta * keep / (beta * keep + 1 - keep)


def plain_posterior_only(schedule: Schedule) -> Callable[[Step], Tensor]:
    """`oracle` with nothing changed but its posterior, which is the release's."""

    def terms(step: Step) -> Tensor:
        keep = schedule.alpha_bar(step.s, step.x0, schedule.sentence_mean(step.x0, step.counted))
        revealed = plain_posterior(keep, step.s, step.t, schedule.num_steps)[step.masked]
        return step.per_sentence(revealed * negative_log_prediction(step))

    return terms


def total_weight(marginals: Tensor, posterior: Tensor) -> Tensor:
    """sum_t (1 - a_t) r_t, what a token's reveal terms weigh in all: (T + 1, V), (T, V) -> (V,); 1 if r is Bayes'."""
    return ((1 - marginals[1:]) * posterior).sum(0)


def weights_of(schedule: Schedule, *, plain: bool) -> Tensor:
    """The total weight of every token under a schedule that needs no sentence, (V,)."""
    steps = torch.arange(schedule.num_steps + 1)
    marginals = schedule.alpha_bar_of_vocabulary(steps)
    s, t = steps[:-1], steps[1:]
    bayes = reveal_probability(marginals[:-1], marginals[1:])
    return total_weight(marginals, plain_posterior(marginals[:-1], s, t, schedule.num_steps) if plain else bayes)


def measure_posterior(ground: Ground) -> Figures:
    arm, own = ground.trained(SPINDLE), ground.spindle(ground.spindle_lambda)
    theirs = ground.released(ground.released_lambda)
    ours = ground.score(
        arm, own, {"valid": valid(own), "oracle": oracle(own), "plain": plain_posterior_only(own)}, "posterior"
    )
    as_released = ground.score(arm, theirs, {"released": released(theirs)}, "posterior, released")["released"]
    rare, frequent = _weights_at_the_ends(ground, own)
    over = "training tokens, by their share of the text"
    return {
        "alone": ground.ratio(
            "spindle arm: only the posterior is the release's, against `oracle`", ours["plain"], ours["oracle"]
        ),
        "alone_nats": ground.difference("the same, difference", ours["plain"], ours["oracle"]),
        "whole": ground.ratio("spindle arm: `released` against `valid`", as_released, ours["valid"]),
        "whole_nats": ground.difference("the same, difference", as_released, ours["valid"]),
        "valid": ground.level("spindle arm, `valid`", ours["valid"]),
        "released": ground.level("spindle arm, `released` (no bound)", as_released),
        "rare": exact("what the terms of a token weigh in all, mean of the rarest tenth of the text", "1", rare, over),
        "frequent": exact("the same, most frequent tenth of the text", "1", frequent, over),
    }


def _weights_at_the_ends(ground: Ground, schedule: Schedule) -> tuple[float, float]:
    weight = weights_of(schedule, plain=True).numpy()
    information, probability = ground.table.information, ground.table.probability
    order = np.argsort(np.where(np.isnan(information), -np.inf, information))[::-1]
    mass = np.cumsum(probability[order])

    def mean(rows: np.ndarray) -> float:
        return float(np.average(weight[rows], weights=probability[rows]))

    most = order[mass >= 1 - TENTH]
    return mean(order[mass <= TENTH]), mean(most[probability[most] > 0])


def measure_told(ground: Ground) -> Figures:
    arm, own = ground.trained(SPINDLE), ground.spindle(ground.spindle_lambda)
    found = ground.score(
        arm,
        own,
        {"valid": valid(own), "oracle": oracle(own), "timing": lambda step: valid_terms(step, own).timing},
        "what the model is told",
        no_costs=["timing"],
    )
    arm = trained(ground, Trial("oracle")).arm
    told = ground.score(arm, own, {"valid": valid(own), "oracle": oracle(own)}, "what the model learns from it")
    return {
        "ratio": ground.ratio("spindle arm, trained under `valid`: `oracle` against `valid`", *_two(found)),
        "nats": ground.difference("the same, difference", *_two(found)),
        "timing": ground.difference(
            "of it, the timing term, which is not paid", np.zeros(len(found["timing"])), found["timing"]
        ),
        "trained": ground.ratio(
            f"spindle arm after {ground.effort.steps} steps under `oracle`: `oracle` against `valid`", *_two(told)
        ),
        "trained_nats": ground.difference("the same, difference", *_two(told)),
    }


def _two(found: dict[str, Array]) -> tuple[Array, Array]:
    return found["oracle"], found["valid"]


def measure_factor(ground: Ground) -> Figures:
    arm = ground.trained(SPINDLE)
    figures: Figures = {}
    for number in (ground.spindle_lambda, 0.5):
        own = ground.spindle(number)
        found = ground.score(
            arm, own, {"with": valid(own), "without": valid(own, schedule_factor=False)}, f"factor at {number:g}"
        )
        key = "own" if number == ground.spindle_lambda else "stronger"
        figures[key] = ground.ratio(
            f"spindle arm under lambda {number:g}: without the factor against with it", found["without"], found["with"]
        )
        figures[f"{key}_nats"] = ground.difference("the same, difference", found["without"], found["with"])
    return figures


def measure_softmax(ground: Ground) -> Figures:
    arm, theirs = ground.trained(SPINDLE), ground.released(ground.released_lambda)
    every_id = torch.ones_like(ground.vocabulary.candidates)
    mask_id = ground.vocabulary.mask_id

    def kept(step: Step) -> Tensor:
        return released_terms(replace(step, candidates=every_id), theirs, mask_in_softmax=mask_id).total

    def mass(step: Step) -> Tensor:
        rows = step.logits.softmax(-1)
        return step.per_sentence(rows[:, ~step.candidates].sum(-1))

    found = ground.score(
        arm,
        theirs,
        {
            "without": released(theirs),
            "kept": kept,
            "mass": mass,
            "rows": lambda step: step.rows_per_sentence.double(),
        },
        "[MASK] in the softmax",
        no_costs=["mass", "rows"],
    )
    share = bootstrap(
        lambda rows: float(found["mass"][rows].sum() / found["rows"][rows].sum()), ground.num_sentences, ground.seed
    )
    return {
        "ratio": ground.ratio(
            "spindle arm, `released`: softmax over all ids, against words alone", found["kept"], found["without"]
        ),
        "nats": ground.difference("the same, difference", found["kept"], found["without"]),
        "mass": of_interval("softmax mass of the trained arm on ids that are no word", SHARE, share, ground.over),
    }


def measure_cap(ground: Ground) -> Figures:
    """The 0.999 cap at lambda = 0: what it adds to the weight of every token."""
    figures: Figures = {}
    for num_steps in (512, 2048):
        capped = ground.released(0.0, num_steps)
        steps = torch.arange(num_steps + 1)
        keep = capped.alpha_bar_of_vocabulary(steps, torch.zeros(num_steps + 1, dtype=torch.float64))[:, :1]
        posterior = plain_posterior(keep[:-1], steps[:-1], steps[1:], num_steps)
        excess = float(total_weight(keep, posterior)[0]) - float(weights_of(Linear(num_steps), plain=False)[0])
        figures[f"cap_{num_steps}"] = exact(
            f"0.999 cap at lambda 0, T = {num_steps}: change of every token's total weight", "1", excess, "all t"
        )
    return figures
