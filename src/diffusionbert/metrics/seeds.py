"""What repeating a training under other seeds moves: figures over seeds, and differences seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffusionbert.metrics.contrasts import SHARED, Columns, own_figure
from diffusionbert.metrics.perplexity import perplexity
from diffusionbert.metrics.scores import PerSample

Group = Mapping[int, str]  # seed -> the arm that was trained under it
FEWEST = 3  # seeds of a spread
TEXT_SCORES = ("bleu4", "self_bleu4")  # absent where no texts were scored


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1), least and greatest. Raises ValueError for fewer than two values."""
    if len(values) < 2:
        raise ValueError(f"{len(values)} values; expected at least 2 for a spread over seeds")
    array = np.asarray(values, dtype=np.float64)
    return {
        "mean": float(array.mean()),
        "sd": float(array.std(ddof=1)),
        "min": float(array.min()),
        "max": float(array.max()),
        "values": array.tolist(),
    }


def told(group: Group, nats: Mapping[str, Columns], scores: Mapping[str, PerSample]) -> dict[str, Any]:
    """The figures of one row of the ablation over its seeds: its own figure, each protocol, BLEU and Self-BLEU."""
    names = list(group.values())
    own = own_figure(nats[names[0]])
    shared = [figure for figure in SHARED if all(figure in nats[name] for name in names)]
    by_figure = {figure: _figure(figure, names, nats) for figure in (own, *shared)}
    return {
        "arms": names,
        "seeds": list(group),
        "own_figure": own,
        **by_figure[own],
        **{
            score: over_seeds([float(getattr(scores[name], score).mean()) for name in names])
            for score in TEXT_SCORES
            if scores
        },
        "figures": by_figure,
    }


def spread(
    one: str,
    other: str,
    groups: Mapping[str, Group],
    nats: Mapping[str, Columns],
    scores: Mapping[str, PerSample],
) -> dict[str, Any] | None:
    """Two rows of the ablation, `one` minus `other`, seed by seed; None with fewer than three seeds that both have.

    The ratio is of perplexities per word; a value of a list belongs to the seed at its place in `seeds`.
    """
    seeds = [seed for seed in groups[one] if seed in groups[other]]
    if len(seeds) < FEWEST:
        return None
    pairs = [(groups[one][seed], groups[other][seed]) for seed in seeds]
    figures = [(own_figure(nats[one]), own_figure(nats[other]))]
    names = [name for pair in pairs for name in pair]
    figures += [(figure, figure) for figure in SHARED if all(figure in nats[name] for name in names)]
    by_figure = [_differences(figure_one, figure_other, pairs, nats) for figure_one, figure_other in figures]
    return {
        "one": one,
        "other": other,
        "seeds": seeds,
        **by_figure[0],
        **{
            score: over_seeds(
                [float(getattr(scores[a], score).mean() - getattr(scores[b], score).mean()) for a, b in pairs]
            )
            for score in TEXT_SCORES
            if scores
        },
        "figures": by_figure[1:],
    }


def _figure(figure: str, names: Sequence[str], nats: Mapping[str, Columns]) -> dict[str, Any]:
    return {
        "nats_per_sentence": over_seeds([float(nats[name][figure].mean()) for name in names]),
        "perplexity_per_word": over_seeds([perplexity(nats[name][figure], nats[name]["words"]) for name in names]),
    }


def _differences(
    figure_one: str, figure_other: str, pairs: Sequence[tuple[str, str]], nats: Mapping[str, Columns]
) -> dict[str, Any]:
    ours = [(nats[a][figure_one], nats[a]["words"]) for a, _ in pairs]
    theirs = [(nats[b][figure_other], nats[b]["words"]) for _, b in pairs]
    both = list(zip(ours, theirs, strict=True))
    return {
        "figure_one": figure_one,
        "figure_other": figure_other,
        "difference_nats_per_sentence": over_seeds([float((a - b).mean()) for (a, _), (b, _) in both]),
        "perplexity_per_word_ratio": over_seeds([perplexity(*a) / perplexity(*b) for a, b in both]),
    }
