"""Systems that answered the same sources against each other: paired differences, and what training seeds move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusionbert.metrics.pairs import SCORES
from diffusionbert.metrics.perplexity import mean_interval
from diffusionbert.metrics.seeds import FEWEST, Group, over_seeds

Array = NDArray[np.float64]
Columns = Mapping[str, Array]  # one number per source under each score; NaN where a source has none


def contrasts(systems: Mapping[str, Columns], seed: int, resamples: int) -> list[dict[str, Any]]:
    """Every two systems once: the difference of each score that both have, `one` minus `other`, paired by source."""
    return [
        {"one": one, "other": other, **_differences(systems[one], systems[other], seed, resamples)}
        for one, other in combinations(systems, 2)
    ]


def _differences(ours: Columns, theirs: Columns, seed: int, resamples: int) -> dict[str, Any]:
    found = {}
    for name in SCORES:
        if name in ours and name in theirs:
            gained = ours[name] - theirs[name]
            if len(held := gained[~np.isnan(gained)]):
                told = mean_interval(held, np.random.default_rng(seed), resamples).as_dict()
                found[name] = {**told, "sources": len(held)}
    return found


def mean(values: Array) -> float:
    """Over the sources that have the score. Raises ValueError where none has."""
    held = values[~np.isnan(values)]
    if not len(held):
        raise ValueError("a score that no source has; expected one at least")
    return float(held.mean())


def _has(system: Columns, name: str) -> bool:
    """Whether any source has the score: a system that writes nothing has no diversity at any."""
    return name in system and not bool(np.isnan(system[name]).all())


def told(group: Group, systems: Mapping[str, Columns]) -> dict[str, Any]:
    """The mean scores of one row over its seeds. `group` has two at least."""
    names = list(group.values())
    shared = [name for name in SCORES if all(_has(systems[each], name) for each in names)]
    by_score = {name: over_seeds([mean(systems[each][name]) for each in names]) for name in shared}
    return {"arms": names, "seeds": list(group), **by_score}


def spread(one: str, other: str, groups: Mapping[str, Group], systems: Mapping[str, Columns]) -> dict[str, Any] | None:
    """Differences of mean scores, `one` minus `other`, seed by seed; None with fewer than three seeds in common."""
    seeds = [seed for seed in groups[one] if seed in groups[other]]
    if len(seeds) < FEWEST:
        return None
    pairs = [(systems[groups[one][seed]], systems[groups[other][seed]]) for seed in seeds]
    shared = [name for name in SCORES if all(_has(each, name) for pair in pairs for each in pair)]
    by_score = {name: over_seeds([mean(ours[name]) - mean(theirs[name]) for ours, theirs in pairs]) for name in shared}
    return {"one": one, "other": other, "seeds": seeds, **by_score}


def same_sources(systems: Mapping[str, Sequence[object]]) -> None:
    """Raises ValueError naming two systems that answered different sources."""
    names = list(systems)
    for name in names[1:]:
        if systems[name] != systems[names[0]]:
            raise ValueError(f"{names[0]} and {name} answered different sources; expected the same, in one order")
