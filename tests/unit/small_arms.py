"""Small arms over the generated corpus, for tests: no download, a second to build."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from diffusionbert.arms.absorbing import Absorbing, Settings
from diffusionbert.arms.build import vocabulary_of
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import InformationTable, candidate_mask, count_tokens
from diffusionbert.denoisers import backbone
from diffusionbert.diffusion.information import token_information

SHAPE = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
LINEAR: dict[str, Any] = {"init": "random", "schedule": "linear", "objective": "valid", "num_steps": 32}
SPINDLE: dict[str, Any] = LINEAR | {"schedule": "spindle", "spindle_lambda": 0.3, "spindle_mean": "corpus"}
SENTENCE: dict[str, Any] = SPINDLE | {"spindle_mean": "sentence", "objective": "oracle"}
DIFFUSEQ: dict[str, Any] = {
    "init": "random",
    "schedule": "sqrt",
    "num_steps": 32,
    "embedding_size": 16,
    "sampling_steps": 8,
    "partial_noising": True,
}


def information_of(shards: Shards) -> InformationTable:
    counts = count_tokens(shards["train"], shards.special.vocab_size)
    candidates = candidate_mask(shards.special)
    probability, information = token_information(counts, np.array(candidates), 1.0)
    return InformationTable(counts, candidates, probability, information)


def small_arm(shards: Shards, settings: dict[str, Any], *, seed: int = 0, **shape: Any) -> Absorbing:
    torch.manual_seed(seed)
    model = backbone.fresh({**SHAPE, **shape}, shards.special.vocab_size)
    vocabulary = vocabulary_of(shards, information_of(shards))
    return Absorbing(Settings(**settings), model, vocabulary, shards.tokenizer_folder)
