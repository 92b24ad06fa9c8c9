"""Short trainings of one arm of every family without dropout, by one process or as one of several: for tests.

`python -m trainings_together SHARDS OUT`, started by torchrun, has the first process write what came of them.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusionbert.arms import autoregressive, bert_mouth, diffusion_lm
from diffusionbert.arms.absorbing import Absorbing
from diffusionbert.arms.absorbing import Settings as AbsorbingSettings
from diffusionbert.arms.base import Arm
from diffusionbert.arms.build import vocabulary_of
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.config import Runtime
from diffusionbert.corpus.batches import Stream
from diffusionbert.corpus.shards import Shards
from diffusionbert.denoisers import backbone
from diffusionbert.stages import processes
from diffusionbert.training import Distribution, Settings, train
from unit.small_arms import LINEAR, SENTENCE, SHAPE, SPINDLE, information_of

BERT = SHAPE | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
GPT = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 40}
GPT |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
ABSORBING: dict[str, dict[str, Any]] = {
    "linear": LINEAR,
    "spindle": SPINDLE,
    "oracle": SENTENCE,
    "released": SPINDLE | {"objective": "released", "spindle_mean": "sentence"},
    "one_t_per_batch": LINEAR | {"one_t_per_batch": True},
    "continuous": LINEAR | {"continuous": True},
    "cross_entropy": LINEAR | {"objective": "cross_entropy", "weighting": "linear"},
    "lte": LINEAR | {"time": "lte"},
    "pte": LINEAR | {"time": "pte"},
}
SETTINGS = Settings(
    steps=6,
    batch_size=8,
    learning_rate=1e-3,
    lr_warmup_steps=0,
    lr_decay="constant",
    weight_decay=0.01,
    grad_clip=1.0,
    warmup=2,
    log_every=1,
    valid_every=6,
    valid_sentences=4,
    valid_strata=2,
    checkpoint_every=6,
    ema_decay=0.9,
)
DIFFUSION_LM = {"init": "random", "schedule": "cosine", "num_steps": 32, "embedding_size": 16, "sampling_steps": 8}


@dataclass(frozen=True)
class Result:
    """The lines of the history, and everything that the module holds."""

    losses: list[dict[str, float]]
    state: dict[str, Tensor]


def arms(shards: Shards) -> dict[str, Arm]:
    """One of every family and objective; a budget of a few logits for two, so that their loss goes by chunks."""
    vocabulary, folder = vocabulary_of(shards, information_of(shards)), shards.tokenizer_folder
    size = shards.special.vocab_size

    def fresh(shape: dict[str, Any], kind: backbone.Kind = "masked") -> Any:
        torch.manual_seed(0)
        return backbone.fresh(shape, size, kind=kind)

    made: dict[str, Arm] = {
        name: Absorbing(AbsorbingSettings(**settings), fresh(BERT), vocabulary, folder)
        for name, settings in ABSORBING.items()
    }
    mouth = bert_mouth.Settings(init="random", num_steps=32)
    gpt = autoregressive.Settings(init="random")
    made["bert_mouth"] = bert_mouth.BertMouth(mouth, fresh(BERT), vocabulary, folder)
    made["autoregressive"] = autoregressive.Autoregressive(gpt, fresh(GPT, "causal"), vocabulary, folder)
    for objective in ("simple", "bound"):
        settings = diffusion_lm.Settings(**DIFFUSION_LM, objective=objective)
        torch.manual_seed(1)
        made[f"diffusion_lm_{objective}"] = diffusion_lm.DiffusionLM(settings, fresh(BERT), vocabulary, folder)
    chunked = Absorbing(AbsorbingSettings(**LINEAR), fresh(BERT), vocabulary, folder)
    chunked.logits_budget_mb = 0  # one sentence at a time
    made["chunked"] = chunked
    return made


def results(shards: Shards, distribution: Distribution, accumulate: int = 1, **changed: Any) -> dict[str, Result]:
    found = {}
    for name, arm in arms(shards).items():
        settings = Settings(**{**vars(SETTINGS), "accumulate": accumulate, **changed})
        stream = Stream(
            shards["train"], settings.batch_size, 0, shards.special.pad_id, distribution.rank, distribution.num_ranks
        )
        with tempfile.TemporaryDirectory() as folder:
            history = train(
                arm,
                stream,
                settings,
                seed=0,
                device=torch.device("cpu"),
                autocast=nullcontext,
                checkpoint=Checkpoint(Path(folder), "k"),
                validate=lambda: {"nats_per_sentence": 1.0},
                log=lambda values, step: None,
                label=name,
                distribution=distribution,
            )
        found[name] = Result(history.losses, arm.module.state_dict())
    return found


if __name__ == "__main__":
    together = processes.join(Runtime(device="cpu", processes=2))
    made = results(Shards.open(Path(sys.argv[1])), together)
    if together.rank == 0:
        torch.save({name: (result.losses, result.state) for name, result in made.items()}, sys.argv[2])
    processes.leave()
