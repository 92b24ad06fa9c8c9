from __future__ import annotations

from pathlib import Path

import pytest
import torch

from diffusionbert.config import Backbone, load
from diffusionbert.corpus.shards import Shards
from diffusionbert.deviations.ground import LINEAR, RANDOM, SPINDLE, Effort, Ground
from diffusionbert.stages.compute import Machine
from unit import small_arms
from unit.small_arms import information_of, small_arm

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ground(grammar_shards: Path) -> Ground:
    """Small arms over the generated corpus in the place of a finished run."""
    params = load(ROOT / "profiles" / "default.yaml")
    evaluate = params.evaluate.model_copy(update={"batch_size": 5})
    sample = params.sample.model_copy(update={"length": 12, "num_steps": 8})
    machine = Machine(torch.device("cpu"), "float32", 1)
    effort = Effort(sentences=10, strata=2, steps=3, repeats=2, spread_sentences=4, samples=4, released_samples=3)
    shards = Shards.open(grammar_shards)
    results = grammar_shards.parents[2]  # its folder `corpus` holds the text
    # what is trained anew starts from random weights of a small shape: no download
    fresh = {"tiny": Backbone(source="fresh", config=small_arms.SHAPE)}
    rows = {
        name: row.model_copy(update={"settings": {**row.settings, "init": "random", "num_steps": 16}})
        for name, row in params.arms.items()
    }
    train = params.train.model_copy(update={"batch_size": 4})
    changed = {"evaluate": evaluate, "sample": sample, "backbones": fresh, "arms": rows, "train": train}
    found = Ground(params.model_copy(update=changed), results, machine, effort)
    arms = {
        name: small_arm(shards, settings | {"num_steps": 16}, seed=seed)
        for seed, (name, settings) in enumerate(
            {RANDOM: small_arms.LINEAR, LINEAR: small_arms.LINEAR, SPINDLE: small_arms.SPINDLE}.items()
        )
    }
    for arm in arms.values():
        arm.module.eval()
    # what a finished run's folders would give
    found.__dict__.update(shards=shards, table=information_of(shards), _arms=arms)
    return found
