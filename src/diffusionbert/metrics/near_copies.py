"""What near copies among the train targets are worth: BLEU without the sources that have one.

A held-out target has a near copy where the target of the nearest train source reaches a BLEU of LEAST against it. What
is left out is chosen by that baseline's own score, so that its BLEU can only fall by it; the trained systems' show
whether they live on near copies too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusionbert.metrics.perplexity import mean_interval

Array = NDArray[np.float64]

LEAST = 0.5


def near_copies(nearest: Array, systems: Mapping[str, Array], seed: int, resamples: int) -> dict[str, Any]:
    """`nearest`: BLEU of the nearest neighbour's target by source, (N,); `systems`: that of every system, (N,).

    Their means over the other sources, with intervals; of none where every source has a near copy.
    """
    others = nearest < LEAST
    bleu = {
        name: mean_interval(values[others], np.random.default_rng(seed), resamples).as_dict()
        for name, values in systems.items()
        if others.any()
    }
    return {"least_bleu": LEAST, "sources": int((~others).sum()), "bleu": bleu}
