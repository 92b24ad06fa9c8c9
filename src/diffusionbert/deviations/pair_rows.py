"""What the release leaves out or adds on pairs, from what a run of pairs has kept: the spindle, and how targets end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from diffusionbert.deviations.figures import RESAMPLES, Figure, Figures, exact, of_interval
from diffusionbert.deviations.ground import LINEAR, RATIO, SHARE, SPINDLE
from diffusionbert.deviations.pair_ground import PairGround
from diffusionbert.deviations.pair_scores import BLEU, bleu_of
from diffusionbert.deviations.protocols import valid
from diffusionbert.diffusion.bound import Step
from diffusionbert.diffusion.schedules import Linear
from diffusionbert.files import read_json
from diffusionbert.metrics.perplexity import mean_interval, paired
from diffusionbert.stages.inputs import read_nats, sample_rows

NATS = "nats per target"


def measure_spindle_of_pairs(ground: PairGround) -> Figures:
    """The spindle arm against the linear one: `valid`, on the same targets, and BLEU on the same sources."""
    tables = {row: read_nats(ground.nats_file(row)) for row in (LINEAR, SPINDLE)}
    nats, words = {row: table["valid"] for row, table in tables.items()}, tables[LINEAR]["words"]
    if any(not np.array_equal(table["sentence"], tables[LINEAR]["sentence"]) for table in tables.values()):
        raise ValueError(f"{ground.nats_file(SPINDLE)}: other targets than {ground.nats_file(LINEAR)}")
    found = paired(nats[SPINDLE], nats[LINEAR], words, np.random.default_rng(ground.seed), RESAMPLES)
    over = f"{len(words)} test targets, one training seed"
    figures: Figures = {
        "ratio": of_interval("spindle against linear, `valid`", RATIO, found.ratio, over),
        "difference": of_interval("the same, difference", NATS, found.difference, over),
    }
    for row, values in nats.items():
        label = ground.params.arms[row].label
        level = mean_interval(values, np.random.default_rng(ground.seed), RESAMPLES)
        figures[f"{row}_nats"] = of_interval(f"{label}, `valid`", NATS, level, over)
    bleu = {row: bleu_of(held.chosen(), held.references) for row, held in ground.answers.items() if row in nats}
    over = f"{len(bleu[LINEAR])} sources, one training seed"
    for row, values in bleu.items():
        figures[f"{row}_bleu"] = ground.mean(f"{ground.params.arms[row].label}", BLEU, values, over)
    gained = bleu[SPINDLE] - bleu[LINEAR]
    return figures | {"bleu": ground.mean("spindle minus linear", BLEU, gained, over)}


def measure_ends(ground: PairGround) -> Figures:
    """How much of what is counted are end tokens, and how the candidates end."""
    settings = ground.params.tokenize
    if settings.target_length != "padded":
        raise ValueError(f"tokenize.target_length: found {settings.target_length}; expected padded, to measure ends")
    room = settings.max_target
    figures = {"ends": _share_of_ends(ground), **_cost_of_ends(ground)}
    for row in ground.rows:
        label = ground.params.arms[row].label
        lengths = np.array([each["lengths"] for each in sample_rows(ground.candidates_file(row), ("lengths",))])
        over = f"{lengths.size} candidates of {len(lengths)} sources, {room} tokens at most"
        ways = {
            "empty": ("candidates that end before any token", (lengths == 0).mean(1)),
            "kept": ("sources of which a candidate has no end token", (lengths == room).any(1).astype(np.float64)),
        }
        for key, (what, values) in ways.items():
            figures[f"{row}_{key}"] = ground.mean(f"{label}: {what}", SHARE, values, over)
    return figures


def _share_of_ends(ground: PairGround) -> Figure:
    path = ground.results / "tokenize" / ground.params.arms[LINEAR].tokenizer / "metrics.json"
    counts = {key: held["test"] for key, held in read_json(path).items() if key in ("tokens", "given", "ends")}
    counted = counts["tokens"] - counts["given"]
    return exact("of the counted tokens of targets, end tokens", SHARE, counts["ends"] / counted, "the test split")


def _cost_of_ends(ground: PairGround) -> Figures:
    """The linear arm's bound, and the part of it that says where the text ends."""
    run = ground.few
    arm = run.trained(LINEAR)
    linear, end = Linear(arm.num_steps), run.shards.special.sep_id
    terms = {"nats": valid(linear), "nats_ends": end_or_not(end)}
    parts = run.score(arm, linear, terms, "ends", no_costs=("nats_ends",))
    over = f"{run.num_sentences} test targets, {run.effort.strata} draws each"
    told = {"nats": "linear arm, `valid`, end tokens included", "nats_ends": "of it, for which tokens are ends"}
    figures: Figures = {}
    for key, values in parts.items():
        found = mean_interval(values, np.random.default_rng(ground.seed), RESAMPLES)
        figures[key] = of_interval(told[key], NATS, found, over)
    return figures


def end_or_not(end: int) -> Callable[[Step], Tensor]:
    """The part of `valid` that says which tokens are ends: -ln p(end) at one, -ln (1 - p(end)) at any other.

    Under the linear schedule alone, where a token is revealed with r = (t - s) / t whatever it is.
    """

    def terms(step: Step) -> Tensor:
        reveal = ((step.t - step.s).double() / step.t).unsqueeze(-1).expand(step.masked.shape)[step.masked]
        known = step.logits.double().masked_fill(~step.candidates, -torch.inf)
        whole = known.logsumexp(-1)
        known[:, end] = -torch.inf
        kind = torch.where(step.targets == end, step.target_logits.double(), known.logsumexp(-1))
        return step.per_sentence(reveal * (whole - kind))

    return terms
