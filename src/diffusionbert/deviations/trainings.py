"""What the choices of training are worth, by short trainings and by what the run has left behind."""

from __future__ import annotations

import csv

import numpy as np

from diffusionbert.corpus.batches import Stream
from diffusionbert.deviations.figures import Array, Figures, exact, of_interval
from diffusionbert.deviations.ground import LINEAR, NATS, RANDOM, SHARE, SPINDLE, Ground
from diffusionbert.deviations.protocols import released, valid
from diffusionbert.deviations.trials import Trial, as_they_come, settings_of, trained
from diffusionbert.metrics.perplexity import mean_interval

ONE_T = Trial("released", one_t_per_batch=True)
OBJECTIVES = {
    "oracle": ("`oracle`", Trial("oracle")),
    "released": ("`released`, a t for every sentence", Trial("released")),
    "as_released": ("`released`, one t per batch", ONE_T),
    "cross_entropy": ("`cross_entropy`", Trial("cross_entropy")),
}
OPTIMISERS = {
    "value": ("each value of the gradient clipped at 5", Trial(value_clipping=5.0)),
    "decay": ("weight decay on everything", Trial(decay_everything=True)),
    "order": ("sentences as they come", Trial(as_they_come=True)),
}


def _scored(ground: Ground, trial: Trial, label: str) -> dict[str, Array]:
    """A trial's arm under `valid` and `released`."""
    arm, own = trained(ground, trial).arm, ground.spindle(ground.spindle_lambda)
    theirs = ground.released(ground.released_lambda)
    return ground.score(arm, own, {"valid": valid(own)}, label) | ground.score(
        arm, theirs, {"released": released(theirs)}, f"{label}, released"
    )


def measure_objective(ground: Ground) -> Figures:
    base = _scored(ground, Trial(), "trained on valid")
    steps = ground.effort.steps
    figures = {
        "base": ground.level(f"spindle arm after {steps} steps on `valid`, scored `valid`", base["valid"]),
        "base_released": ground.ratio("the same arm: `released` against `valid`", base["released"], base["valid"]),
    }
    for key, (what, trial) in OBJECTIVES.items():
        found = _scored(ground, trial, f"trained on {key}")
        figures[key] = ground.ratio(
            f"after {steps} steps on {what}, scored `valid`, against trained on `valid`", found["valid"], base["valid"]
        )
        figures[f"{key}_released"] = ground.ratio(
            "the same arm: `released` against `valid`", found["released"], found["valid"]
        )
    return figures


def measure_optimiser(ground: Ground) -> Figures:
    steps, own = ground.effort.steps, ground.spindle(ground.spindle_lambda)
    base = trained(ground, Trial())
    nats = ground.score(base.arm, own, {"valid": valid(own)}, "optimiser, base")["valid"]
    figures: Figures = {}
    for key, (what, trial) in OPTIMISERS.items():
        arm = trained(ground, trial).arm
        found = ground.score(arm, own, {"valid": valid(own)}, f"optimiser, {key}")["valid"]
        figures[key] = ground.ratio(
            f"spindle arm after {steps} steps, `valid`: {what}, against this project's", found, nats
        )
    over = f"{steps} steps on `valid`"
    for limit in (1.0, 5.0):
        acts = float((base.norms > limit).mean())
        figures[f"norm_{limit:g}"] = exact(f"steps at which the norm is clipped at {limit:g}", SHARE, acts, over)
    figures["values_5"] = exact(
        "steps at which any value of the gradient is over 5", SHARE, float((base.largest > 5).mean()), over
    )
    figures["largest"] = exact("largest absolute value of a gradient", "1", float(base.largest.max()), over)
    return figures | _padding(ground)


def _padding(ground: Ground) -> Figures:
    settings, seed, pool = settings_of(ground), ground.params.arms[SPINDLE].seed, 50
    stream = Stream(ground.shards["train"], settings.batch_size, seed, ground.shards.special.pad_id)
    ways = {
        "bucketed": ("sentences of similar length together", stream.batch),
        "shuffled": ("as they come", lambda step: as_they_come(ground, settings.batch_size, seed, step)),
    }
    figures: Figures = {}
    for key, (what, batch) in ways.items():
        found = [batch(step) for step in range(pool)]
        real, all_of_it = sum(int(b.lengths.sum()) for b in found), sum(b.tokens.numel() for b in found)
        figures[key] = exact(
            f"padding, {what}", SHARE, 1 - real / all_of_it, f"{pool} batches of {settings.batch_size}"
        )
    return figures


def measure_pretrained(ground: Ground) -> Figures:
    linear = ground.linear()
    nats = {
        name: ground.score(ground.trained(name), linear, {"valid": valid(linear)}, name)["valid"]
        for name in (RANDOM, LINEAR)
    }
    steps = ground.params.train.steps
    return {
        "ratio": ground.ratio(
            f"linear arms after {steps} steps, `valid`: random start against pretrained", nats[RANDOM], nats[LINEAR]
        ),
        "nats": ground.difference("the same, difference", nats[RANDOM], nats[LINEAR]),
    }


def measure_backbone(ground: Ground) -> Figures:
    linear = ground.linear()
    before = ground.score(ground.untrained(LINEAR), linear, {"valid": valid(linear)}, "before training")["valid"]
    after = ground.score(ground.trained(LINEAR), linear, {"valid": valid(linear)}, "after training")["valid"]
    return {
        "before": ground.level("the pretrained network before any training, linear, `valid`", before),
        "after": ground.level(f"after {ground.params.train.steps} steps", after),
        "ratio": ground.ratio("before against after", before, after),
    }


def measure_kept(ground: Ground) -> Figures:
    """The last step's model, which is kept, against the best validation of the run."""
    figures: Figures = {}
    for name in (RANDOM, LINEAR, SPINDLE):
        path = ground.results / "train" / name / "validation.csv"
        with path.open(encoding="utf-8") as file:
            rows = [float(row["nats_per_sentence"]) for row in csv.DictReader(file)]
        if not rows:
            raise ValueError(f"{path}: no row; expected the validations of a training run")
        figures[name] = exact(
            f"`{name}`: validation bound at the last step minus the lowest of the run",
            NATS,
            rows[-1] - min(rows),
            f"{ground.params.train.valid_sentences} valid sentences, {len(rows)} validations",
        )
    return figures


def measure_corpus(ground: Ground) -> Figures:
    table, split = ground.table, ground.shards["train"]
    over = "the training split"
    words = split.words.astype(np.float64)
    return {
        "entropy": exact("entropy of its tokens", "nats per token", ground.vocabulary.mean_information, over),
        "types": exact("token types that occur", "1", float((table.counts > 0).sum()), over),
        "words": of_interval(
            "words per sentence", "1", mean_interval(words, np.random.default_rng(ground.seed), 1000), over
        ),
        "sentences": exact("sentences", "1", float(len(split)), over),
        "tokens_per_word": exact("WordPieces per word", "1", float(split.lengths.sum() / words.sum()), over),
    }
