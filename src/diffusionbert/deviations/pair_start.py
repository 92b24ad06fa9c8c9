"""What it costs to begin a target from a word instead of [MASK], as the release begins it under RoBERTa."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from diffusionbert.arms.base import Draw
from diffusionbert.arms.masked_steps import Noised, asked
from diffusionbert.corpus.batches import Batch
from diffusionbert.deviations.figures import RESAMPLES, Array, Figures, bootstrap, exact, of_interval
from diffusionbert.deviations.ground import LINEAR, SHARE, Ground
from diffusionbert.deviations.pair_ground import PairGround
from diffusionbert.diffusion.bound import negative_log_prediction
from diffusionbert.metrics.perplexity import mean_interval
from diffusionbert.progress import track

RELEASED_STEPS, RELEASED_STEP = 2000, 10  # of predict_downstream_condition.py
RANK = 100  # how frequent the word is that stands for the release's; it has 103 as an id, [MASK] in BERT's vocabulary


def measure_start(ground: PairGround) -> Figures:
    """The linear arm's first call, all of the target unknown, against the same with a word at every place."""
    run = ground.run
    mask, word = run.vocabulary.mask_id, int(run.table.counts.argsort()[::-1][RANK - 1])
    tokens = np.zeros(run.num_sentences)
    nats = {key: np.zeros(run.num_sentences) for key in ("mask", "word")}
    for batch in track(run.batches, label="first calls"):
        tokens[batch.index] = batch.counted.sum(-1).numpy()
        for key, start in (("mask", mask), ("word", word)):
            nats[key][batch.index] = _first_call(run, batch, start)
    over = f"{len(tokens)} test targets, padded"
    per_token = {
        "mask": ("from [MASK] at every place", nats["mask"]),
        "word": (f"from the {RANK}th most frequent token at every place", nats["word"]),
        "difference": ("the same, difference", nats["word"] - nats["mask"]),
    }
    share = RELEASED_STEP / RELEASED_STEPS
    figures: Figures = {
        "share": exact(
            "of a target, drawn in the first call at most", SHARE, share, f"steps of {RELEASED_STEP} of T = 2000"
        )
    }
    for key, (what, values) in per_token.items():
        found = bootstrap(partial(_per_token, values, tokens), len(tokens), ground.seed)
        figures[key] = of_interval(f"linear arm's first call, {what}", "nats per target token", found, over)
    cost = mean_interval(share * per_token["difference"][1], np.random.default_rng(ground.seed), RESAMPLES)
    what = "that difference over that share of a target"
    return figures | {"cost": of_interval(what, "nats per target", cost, over)}


def _per_token(nats: Array, tokens: Array, rows: NDArray[np.int64]) -> float:
    return float(nats[rows].sum() / tokens[rows].sum())


@torch.no_grad()
def _first_call(run: Ground, batch: Batch, start: int) -> Array:
    """-ln p(target) of each row, every token by itself from a target that is `start` all over, at t = T."""
    arm, there = run.trained(LINEAR), batch.to(run.machine.device)
    t = torch.full_like(there.lengths, arm.num_steps)
    draw = Draw(t - 1, t, torch.zeros(there.tokens.shape, dtype=torch.float64))
    xt = torch.where(there.counted, start, there.tokens)
    with run.machine.autocast():
        noisy = Noised(there.counted, arm.denoiser.encode(xt, there.lengths, t))
        parts = [step.per_sentence(negative_log_prediction(step)) for step in asked(arm, there, draw, noisy)]
    return torch.cat(parts).double().cpu().numpy()
