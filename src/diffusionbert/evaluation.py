"""Scores an arm on sentences: nats per sentence under every figure, by stratified draws of the step.

An unbiased estimate of the sum over a grid's K steps, or of the integral over a real t: J strata a sentence, one
draw from each, and a control variate taken off. It depends on (seed, stratum, sentence) alone, so any two arms or
figures are paired. Beside it, the importance weights of whole trajectories, which tighten the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from diffusionbert.arms.base import Controlled, Draw, Drawing, Scorer, Weighing
from diffusionbert.corpus.batches import Batch, Sentences, in_order_of_length
from diffusionbert.diffusion.absorbing import stratified_steps, stratified_times
from diffusionbert.diffusion.draws import Purpose, uniforms
from diffusionbert.diffusion.sampling import strided_grid
from diffusionbert.progress import track

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Nats of every sentence under one figure, (N,) each, in the order of the sentences' indices."""

    nats: Array
    reveal: Array
    timing: Array
    monte_carlo_standard_error: float  # of the mean nats per sentence, from the spread over strata
    standard_errors: Array  # of every sentence's nats, likewise


@torch.no_grad()
def evaluate(
    scorer: Scorer,
    batches: Sequence[Batch],
    *,
    num_strata: int,
    num_eval_steps: int | None,
    seed: int,
    device: torch.device,
    label: str,
    figures: Sequence[str] | None = None,
) -> dict[str, Scores]:
    """Scores of the figures (all of the scorer's, when None) over the batches' sentences.

    `num_eval_steps` None evaluates the T-step model, K the K-step one; a continuous scorer has no steps. Raises
    ValueError when K does not divide T.
    """
    plan = _Plan.of(scorer, num_strata, num_eval_steps)
    order = np.argsort(np.concatenate([batch.index for batch in batches]))
    names = list(scorer.figures if figures is None else figures)
    # figure -> stratum -> the batches' terms
    reveal: dict[str, list[list[Array]]] = {name: [[] for _ in range(plan.num_strata)] for name in names}
    timing: dict[str, list[list[Array]]] = {name: [[] for _ in range(plan.num_strata)] for name in names}
    expected: dict[str, list[Array]] = {name: [] for name in names}
    rounds = [(batch, stratum) for batch in batches for stratum in range(plan.num_strata)]
    for batch, stratum in track(rounds, label=label):
        draw, weight = plan.draw(batch, stratum, seed)
        there, drawn = batch.to(device), draw.to(device)
        for name, terms in scorer(there, drawn, names).items():
            named = terms.reveal.cpu().numpy() * weight
            if isinstance(scorer, Controlled):
                # the same mean and a smaller variance: what the control has by chance is taken off
                named -= scorer.control(there, drawn, name).cpu().numpy() * weight
                if stratum == 0:
                    expected[name].append(scorer.expected_control(there, plan.grid, name).cpu().numpy())
                named += expected[name][-1] / plan.num_strata
            reveal[name][stratum].append(named)
            timing[name][stratum].append(terms.timing.cpu().numpy() * weight)
    return {name: _scores(reveal[name], timing[name], order) for name in names}


def num_draws(scorer: Scorer, num_strata: int, num_eval_steps: int | None) -> int:
    """How many draws `evaluate` takes of a sentence: no more than there are steps, and of an exact figure one pass."""
    return _Plan.of(scorer, num_strata, num_eval_steps).num_strata


def sequence_nats(
    scorer: Scorer,
    sequences: Sentences,
    figure: str,
    *,
    pad_id: int,
    batch_size: int,
    device: torch.device,
    label: str,
) -> Array:
    """-ln p of every sequence of tokens under a figure that one pass computes exactly, (N,), in their order.

    Raises ValueError for a scorer that would need draws.
    """
    if scorer.num_steps is not None or not scorer.figures[figure].exact:
        raise ValueError(f"figure '{figure}' is a bound, estimated by draws; expected an exact one")
    batches = list(in_order_of_length(sequences, len(sequences), batch_size, pad_id))
    scores = evaluate(
        scorer,
        batches,
        num_strata=1,
        num_eval_steps=None,
        seed=0,  # nothing is drawn
        device=device,
        label=label,
        figures=(figure,),
    )
    return scores[figure].nats


@torch.no_grad()
def trajectory_weights(
    scorer: Weighing,
    batches: Sequence[Batch],
    *,
    grid: Sequence[int],
    num_samples: int,
    seed: int,
    device: torch.device,
    label: str,
) -> Array:
    """ln w of `num_samples` trajectories of every sentence, (K, N), in the order of the sentences' indices.

    As every draw here they depend on (seed, sample, sentence) alone.
    """
    order = np.argsort(np.concatenate([batch.index for batch in batches]))
    rounds = [(batch, sample) for sample in range(num_samples) for batch in batches]
    found: list[list[Array]] = [[] for _ in range(num_samples)]
    for batch, sample in track(rounds, label=label):
        length = batch.tokens.shape[1]
        noise = uniforms(seed, Purpose.EVALUATION_TRAJECTORY, step=sample, indices=batch.index, length=length)
        weights = scorer.trajectory_weights(batch.to(device), noise.to(device), grid)
        found[sample].append(weights.cpu().numpy())
    return np.stack([np.concatenate(rows)[order] for rows in found])


@dataclass(frozen=True)
class _Plan:
    """Which draws are taken, and the weight of each; no grid where t is real."""

    grid: tuple[int, ...]
    num_strata: int
    num_steps: int | None  # T of a real t
    drawing: Drawing | None = None  # a scorer that draws its own steps

    @classmethod
    def of(cls, scorer: Scorer, num_strata: int, num_eval_steps: int | None) -> _Plan:
        if scorer.num_steps is None:
            return cls((0, 1), 1, None)
        if isinstance(scorer, Drawing):
            if num_eval_steps is not None:
                raise ValueError(f"{num_eval_steps} evaluation steps of a system with its own; expected none")
            return cls((), num_strata, None, scorer)
        if scorer.continuous:
            if num_eval_steps is not None:
                raise ValueError(f"{num_eval_steps} evaluation steps of a continuous-time bound; expected none")
            return cls((), num_strata, scorer.num_steps)
        grid = strided_grid(scorer.num_steps, num_eval_steps or scorer.num_steps)
        strata = min(num_strata, len(grid) - 1)
        return cls(tuple(grid), strata, None)

    def draw(self, batch: Batch, stratum: int, seed: int) -> tuple[Draw, Array]:
        """A draw for every sentence, and what its terms are multiplied by, (B,)."""
        u = uniforms(seed, Purpose.EVALUATION_STEP, step=stratum, indices=batch.index, length=1)[:, 0]
        noise = uniforms(seed, Purpose.EVALUATION_MASK, step=stratum, indices=batch.index, length=batch.tokens.shape[1])
        if self.drawing is not None:
            s, t, weights = self.drawing.draw_steps(u, stratum, self.num_strata)
            return Draw(s, t, noise), weights.numpy()
        if self.num_steps is not None:
            t, weights = stratified_times(u, torch.tensor(stratum), self.num_strata, self.num_steps)
            return Draw(t, t, noise), weights.numpy()
        place = stratified_steps(u, torch.tensor(stratum), self.num_strata, len(self.grid) - 1)
        grid = torch.tensor(self.grid)
        weight = np.full(len(batch.index), (len(self.grid) - 1) / self.num_strata)
        return Draw(grid[place - 1], grid[place], noise), weight


def _scores(reveal: list[list[Array]], timing: list[list[Array]], order: NDArray[np.int64]) -> Scores:
    """`reveal` and `timing` hold, stratum by stratum, each one's share of the sum over steps."""
    named = np.stack([np.concatenate(rows) for rows in reveal])[:, order]
    timed = np.stack([np.concatenate(rows) for rows in timing])[:, order]
    shares = named + timed
    # A share is one draw. Differences of neighbouring strata overestimate its variance, by what their means differ;
    # the strata at the two ends, of which the first holds most of the variance, stand in one difference only and are
    # counted once more.
    each = (shares[1:] - shares[:-1]) ** 2
    squares = each.sum(-1)
    variance = float(squares.sum() + squares[:1].sum() + squares[-1:].sum()) / 2
    return Scores(
        shares.sum(0),
        named.sum(0),
        timed.sum(0),
        monte_carlo_standard_error=float(np.sqrt(variance)) / shares.shape[1],
        standard_errors=np.sqrt((each.sum(0) + each[:1].sum(0) + each[-1:].sum(0)) / 2),
    )


def mean_and_interval(nats: Array) -> tuple[float, float, float]:
    """The mean nats per sentence and its 95 % interval over sentences, by the normal approximation."""
    half = 1.96 * float(nats.std(ddof=1)) / np.sqrt(len(nats)) if len(nats) > 1 else 0.0
    mean = float(nats.mean())
    return mean, float(mean - half), float(mean + half)
