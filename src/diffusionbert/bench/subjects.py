"""What is measured: sentences of made-up words, a vocabulary with Zipf's counts, arms with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffusionbert.arms.absorbing import LOGITS_BUDGET_MB, Absorbing, Settings
from diffusionbert.arms.base import Vocabulary
from diffusionbert.corpus.batches import Batch
from diffusionbert.denoisers import backbone

NUM_STEPS = 2048
MASK, PAD, CLS, SEP = 4, 0, 2, 3
NUM_SPECIAL = 5

# The two spindles differ from linear in their schedule only; `released` draws one t as `valid` does.
ARMS: dict[str, dict[str, Any]] = {
    "linear": {"schedule": "linear", "objective": "valid"},
    "spindle": {"schedule": "spindle", "objective": "valid", "spindle_lambda": 0.3, "spindle_mean": "corpus"},
    "released": {"schedule": "spindle", "objective": "released", "spindle_lambda": 0.3, "spindle_mean": "corpus"},
}


@dataclass(frozen=True)
class Size:
    """A backbone's shape and the batches it is measured with; `length` counts [CLS] and [SEP].

    `logits_budget_mb` is `runtime.logits_budget_mb` of params.yaml: how many logits are held at one time.
    """

    name: str
    layers: int
    width: int
    heads: int
    inner: int
    vocab_size: int
    batch: int
    length: int
    sampled_length: int
    logits_budget_mb: int = LOGITS_BUDGET_MB

    @property
    def config(self) -> dict[str, Any]:
        return {
            "model_type": "bert",
            "num_hidden_layers": self.layers,
            "hidden_size": self.width,
            "num_attention_heads": self.heads,
            "intermediate_size": self.inner,
            "max_position_embeddings": 512,
            "pad_token_id": PAD,
        }

    @property
    def described(self) -> str:
        return (
            f"BERT of {self.layers} x {self.width}, vocabulary {self.vocab_size:,}, batch {self.batch}, "
            f"{self.logits_budget_mb:,} MB of logits at once"
        )


SIZES = {
    "toy": Size("toy", 1, 32, 2, 64, 200, 4, 16, 8),  # for the tests of this command
    "tiny": Size("tiny", 2, 128, 2, 512, 30_522, 32, 128, 64),
    "base": Size("base", 12, 768, 12, 3072, 30_522, 128, 128, 64, 4096),
}


def vocabulary_of(size: Size) -> Vocabulary:
    """Every id a word but the first few; training counts after Zipf's law."""
    candidates = torch.arange(size.vocab_size) >= NUM_SPECIAL
    counts = torch.zeros(size.vocab_size, dtype=torch.long)
    counts[candidates] = (1e6 / torch.arange(1, int(candidates.sum()) + 1)).long()
    probability = (counts + 1.0).double() * candidates
    probability /= probability.sum()
    information = torch.where(candidates, -probability.log(), torch.nan)
    mean = float((probability[candidates] * information[candidates]).sum())
    return Vocabulary(MASK, PAD, CLS, SEP, candidates, counts, information, mean)


def model_of(size: Size) -> Any:
    """A fresh masked LM; the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)  # transformers draws initial weights from torch's global generator
        return backbone.fresh(size.config, size.vocab_size)


def attention(size: Size) -> str:
    """How transformers computes attention for this backbone."""
    return str(model_of(size).config._attn_implementation)


def arm_of(size: Size, name: str, device: torch.device, model: Any = None) -> Absorbing:
    """An arm of `ARMS`, ready on the device."""
    settings = Settings(init="random", num_steps=NUM_STEPS, **ARMS[name])
    model = model_of(size) if model is None else model
    arm = Absorbing(settings, model, vocabulary_of(size).to(device), Path(), size.logits_budget_mb)
    arm.module.to(device)
    return arm


def batch_of(size: Size, length: int | None = None) -> Batch:
    """Sentences of one length, all [CLS] x [SEP] of them `length` long, after the vocabulary's counts."""
    inside = (length or size.length) - 2
    tokens = words(size, size.batch * inside, seed=0).reshape(size.batch, inside)
    return Batch(torch.from_numpy(tokens), torch.full((size.batch,), inside), np.arange(size.batch))


def words(size: Size, number: int, seed: int) -> NDArray[np.int64]:
    """Independent draws of word ids, each as likely as its training count."""
    vocabulary = vocabulary_of(size)
    probability = torch.exp(-vocabulary.information).nan_to_num(0.0).numpy()
    drawn = np.random.default_rng(seed).choice(size.vocab_size, number, p=probability / probability.sum())
    return drawn.astype(np.int64)
