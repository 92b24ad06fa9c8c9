"""How noisy the estimates are: of one sentence's bound, and of a training loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from diffusionbert.arms.base import Draw
from diffusionbert.corpus.batches import Batch, collate
from diffusionbert.deviations.figures import RESAMPLES, Array, Figures, bootstrap, exact, of_interval
from diffusionbert.deviations.ground import LINEAR, NATS, PER_TOKEN, Ground
from diffusionbert.deviations.protocols import valid
from diffusionbert.diffusion.absorbing import low_discrepancy_steps, stratified_steps
from diffusionbert.metrics.perplexity import perplexity_interval
from diffusionbert.progress import track

RELEASED_BATCH = 64  # compute_elbo.py's batch size and divisor
LM1B_TEST = 306_688  # sentences of LM1B's test split
RELEASED_PART = 0.05  # of which compute_elbo.py takes this share


def _few(ground: Ground) -> Batch:
    """Sentences of every length, from the test split."""
    rows = np.arange(min(ground.effort.spread_sentences, len(ground.shards["test"])))
    return collate(ground.shards["test"], rows, ground.shards.special.pad_id)


@torch.no_grad()
def _term(ground: Ground, batch: Batch, s: Tensor, t: Tensor, rng: np.random.Generator) -> tuple[Array, Array]:
    """The bound's term of the step s -> t for each sentence of the batch, with fresh noise, and its control variate."""
    linear = ground.linear()
    noise = torch.from_numpy(rng.random(batch.tokens.shape))
    draw = Draw(s, t, noise).to(ground.machine.device)
    arm = ground.trained(LINEAR)
    parts = [valid(linear)(step) for step in arm.steps(batch.to(ground.machine.device), draw, linear)]
    return torch.cat(parts).cpu().numpy(), ground.control(batch, draw, linear).cpu().numpy()


def measure_estimator(ground: Ground) -> Figures:
    """Spread of one sentence's bound for J network calls, from the variance inside and between strata."""
    effort, T = ground.effort, ground.num_steps
    batch, rng = _few(ground), np.random.default_rng(ground.seed)
    size, J = len(batch.lengths), effort.strata
    inside = np.empty((J, effort.repeats, size))
    controlled, grid = np.empty_like(inside), np.empty_like(inside)
    for j, repeat in track([(j, r) for j in range(J) for r in range(effort.repeats)], label="estimators"):
        u = torch.from_numpy(rng.random(size))
        t = stratified_steps(u, torch.tensor(j), J, T)
        term, control = _term(ground, batch, t - 1, t, rng)
        inside[j, repeat], controlled[j, repeat] = T * term, T * (term - control)
        s = torch.full((size,), T // J * j)
        grid[j, repeat] = J * _term(ground, batch, s, s + T // J, rng)[0]
    spread = {
        "controlled": controlled.var(1, ddof=1).mean(0) / J,
        "stratified": inside.var(1, ddof=1).mean(0) / J,
        "independent": inside.reshape(-1, size).var(0, ddof=1) / J,
        "grid": grid.var(1, ddof=1).mean(0) / J,
    }
    over = f"{size} test sentences, {J} calls a sentence, from {J * effort.repeats} calls"
    names = {
        "controlled": "one t from each stratum, less its control variate (ours)",
        "stratified": "one t from each stratum",
        "independent": "every t on its own",
        "grid": "one draw at each point of a grid (the release's)",
    }
    sd = {
        key: of_interval(
            f"standard deviation of a sentence's bound: {names[key]}",
            NATS,
            bootstrap(lambda rows, v=v: float(np.sqrt(v[rows].mean())), size, ground.seed),  # type: ignore[misc]
            over,
        )
        for key, v in spread.items()
    }
    bias = grid.mean((0, 1)) - inside.mean((0, 1))
    sd["other_model"] = of_interval(
        f"the {J}-step model's bound, which the grid estimates, minus the {T}-step model's",
        NATS,
        bootstrap(lambda rows: float(bias[rows].mean()), size, ground.seed),
        over,
    )
    sentences = round(LM1B_TEST * RELEASED_PART)
    batches = -(-sentences // RELEASED_BATCH)
    sd["divisor"] = exact(
        "what dividing by 64 times the number of batches makes of the mean nats, the last batch being smaller",
        "factor",
        sentences / (RELEASED_BATCH * batches),
        f"{sentences} sentences, 5 % of LM1B's test split",
    )
    return sd


def measure_units(ground: Ground) -> Figures:
    linear = ground.linear()
    nats = ground.score(ground.trained(LINEAR), linear, {"valid": valid(linear)}, "units")["valid"]
    tokens = perplexity_interval(nats, ground.tokens, np.random.default_rng(ground.seed), RESAMPLES)
    framed = perplexity_interval(nats, ground.tokens + 2, np.random.default_rng(ground.seed), RESAMPLES)
    split = ground.shards["test"]
    per_word = ground.level("linear arm, `valid`", nats)
    return {
        "per_word": per_word,
        "per_token": of_interval("the same nats, divided by WordPieces", PER_TOKEN, tokens, ground.over),
        "framed": of_interval("the same, [CLS] and [SEP] counted too", PER_TOKEN, framed, ground.over),
        "tokens_per_word": exact(
            "WordPieces per word", "1", float(split.lengths.sum() / split.words.sum()), "the test split"
        ),
        "words": exact("words per sentence", "1", float(split.words.mean()), "the test split"),
    }


def measure_drawing(ground: Ground) -> Figures:
    """The spread of one batch's loss over fresh draws, on the trained linear arm."""
    batch, rng = _few(ground), np.random.default_rng(ground.seed)
    size, T = len(batch.lengths), ground.num_steps
    ways: dict[str, tuple[str, Callable[[], Tensor]]] = {
        "shared": ("one t for the whole batch (the release's)", lambda: _steps(rng, 1, T).expand(size)),
        "independent": ("one t per sentence, each on its own", lambda: _steps(rng, size, T)),
        "stratified": (
            "one t per sentence, stratified over the batch (ours)",
            lambda: low_discrepancy_steps(rng.random(), size, T)[torch.from_numpy(rng.permutation(size))],
        ),
    }
    repeats = 4 * ground.effort.repeats
    figures: Figures = {}
    for key, (what, steps) in ways.items():
        losses = []
        for _ in track(range(repeats), label=f"drawing t: {key}"):
            t = steps()
            losses.append(T * float(_term(ground, batch, t - 1, t, rng)[0].sum()) / float(batch.lengths.sum()))
        values = np.array(losses)
        figures[key] = of_interval(
            f"standard deviation of a batch's loss: {what}",
            "nats per token",
            bootstrap(lambda rows, v=values: float(v[rows].std(ddof=1)), repeats, ground.seed),  # type: ignore[misc]
            f"{repeats} draws, a batch of {size} sentences",
        )
    return figures


def _steps(rng: np.random.Generator, size: int, num_steps: int) -> Tensor:
    return torch.from_numpy(rng.integers(1, num_steps + 1, size))
