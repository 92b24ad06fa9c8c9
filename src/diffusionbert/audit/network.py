"""A small network trained under each objective on sentences of independent tokens, then scored under each protocol.

It is the project's own arm, loop and scorer on a source of known entropy. What is told is the *excess* of a figure
over the entropy, from paired draws: a denoiser that predicts the source's p whatever it sees has exactly -ln p(x_0)
as its `valid` figure in expectation, so that its score of the same sentences and noise is subtracted, and most of
what is chance in both goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diffusionbert.arms.absorbing import Absorbing, Settings
from diffusionbert.arms.base import Vocabulary
from diffusionbert.audit.sources import Source, zipf
from diffusionbert.checkpoint import Checkpoint
from diffusionbert.corpus.batches import Stream, in_order_of_length
from diffusionbert.denoisers.backbone import fresh
from diffusionbert.evaluation import Scores, evaluate
from diffusionbert.training import Settings as Training
from diffusionbert.training import train

CPU = torch.device("cpu")
PAD, CLS, SEP, MASK = range(4)
FIRST_WORD = 4
LINEAR = "linear"
PROTOCOLS = ("valid", "oracle", "released")
OBJECTIVES = (LINEAR, "valid", "oracle", "released")  # the first is the control: `valid` without a spindle


@dataclass(frozen=True, kw_only=True)
class Network:
    """The `audit.network` section of params.yaml, field by field."""

    vocab_size: int
    exponent: float
    length: int
    num_steps: int
    spindle_lambda: float
    backbone: Mapping[str, Any]
    steps: int
    batch_size: int
    learning_rate: float
    test_sentences: int
    num_strata: int
    seed: int

    @property
    def source(self) -> Source:
        return zipf(self.vocab_size, self.exponent)

    @property
    def train_sentences(self) -> int:
        """Every sentence is seen once."""
        return self.steps * self.batch_size


@dataclass(frozen=True)
class Drawn:
    """Sentences of one length drawn from a source, in memory; what batches ask of a split."""

    name: str
    ids: NDArray[np.int64]  # (n, L)

    @classmethod
    def of(cls, network: Network, name: str, size: int, stream: int) -> Drawn:
        rng = np.random.default_rng([network.seed, stream])
        words = rng.choice(network.vocab_size, (size, network.length), p=network.source.probability.numpy())
        return cls(name, words + FIRST_WORD)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        return np.full(len(self.ids), self.ids.shape[1])

    @property
    def given(self) -> None:
        return None

    def __len__(self) -> int:
        return len(self.ids)

    def several(self, index: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
        rows: NDArray[np.int64] = self.ids[index]
        return rows


@dataclass(frozen=True)
class Excess:
    """Nats per token above the entropy, under one protocol, with its standard error over sentences."""

    nats_per_token: float
    standard_error: float
    is_bound: bool  # what the scorer says of this figure


@dataclass(frozen=True)
class Place:
    """Where a network computes."""

    device: torch.device
    autocast: Callable[[], AbstractContextManager[Any]]


def trained_excesses(
    network: Network, place: Place, objectives: Sequence[str] = OBJECTIVES
) -> dict[str, dict[str, Excess]]:
    """Objective it was trained under -> protocol it is scored under -> excess; all met the same sentences and noise."""
    sentences = Drawn.of(network, "train", network.train_sentences, 0)
    test = Drawn.of(network, "test", network.test_sentences, 1)
    result = {}
    for objective in objectives:
        arm = new_arm(network, objective, _fresh(network), place.device)
        _train(arm, network, sentences, place, objective)
        known = new_arm(network, objective, Known(network), place.device)
        exact = _scores(known, network, test, place, ("valid",))["valid"].nats
        figures = arm.scorer([], network.spindle_lambda).figures
        scores = _scores(arm, network, test, place, PROTOCOLS)
        result[objective] = {
            protocol: _excess((scores[protocol].nats - exact) / network.length, figures[protocol].is_bound)
            for protocol in PROTOCOLS
        }
    return result


def _scores(arm: Absorbing, network: Network, test: Drawn, place: Place, names: tuple[str, ...]) -> dict[str, Scores]:
    with place.autocast():
        return evaluate(
            arm.scorer([], network.spindle_lambda),
            list(in_order_of_length(test, len(test), network.batch_size, PAD)),
            num_strata=network.num_strata,
            num_eval_steps=None,
            seed=network.seed,
            device=place.device,
            label="audit: scoring",
            figures=names,
        )


def _excess(above: NDArray[np.float64], is_bound: bool) -> Excess:
    return Excess(float(above.mean()), float(above.std(ddof=1) / np.sqrt(len(above))), is_bound)


class Known(nn.Module):
    """In place of a masked LM: predicts the source's p at every position."""

    base_model_prefix = "encoder"

    def __init__(self, network: Network) -> None:
        super().__init__()
        log_p = torch.zeros(network.vocab_size + FIRST_WORD)  # the special ids are no candidates: any logit will do
        log_p[FIRST_WORD:] = -network.source.information
        self.config = SimpleNamespace(vocab_size=len(log_p), model_type="known", pad_token_id=PAD)
        self.encoder = _Nothing()
        self.head = _Always(log_p)


class _Nothing(nn.Module):
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=torch.zeros(*input_ids.shape, 1, device=input_ids.device))


class _Always(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.get_buffer("logits").expand(len(hidden), -1)


def _train(arm: Absorbing, network: Network, sentences: Drawn, place: Place, objective: str) -> None:
    with _named("audit.network"):
        train(
            arm,
            Stream(sentences, network.batch_size, network.seed, PAD),
            _training(network),
            seed=network.seed,
            device=place.device,
            autocast=place.autocast,
            checkpoint=Checkpoint(Path(".checkpoints") / "audit", "none is written"),
            validate=dict,
            log=lambda values, step: None,
            label=f"audit: training {objective}",
        )


@contextmanager
def _named(section: str) -> Iterator[None]:
    """Errors of the rooms below name their own sections of params; here the settings stand in this one."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{section}: {str(error).replace('train.', section + '.')}") from None


def _fresh(network: Network) -> nn.Module:
    """The same weights for every objective."""
    with torch.random.fork_rng():
        torch.manual_seed(network.seed)  # transformers draws initial weights from torch's global generator
        with _named("audit.network.backbone"):
            return fresh(dict(network.backbone), network.vocab_size + FIRST_WORD)


def new_arm(network: Network, objective: str, model: nn.Module, device: torch.device = CPU) -> Absorbing:
    if objective == LINEAR:
        settings = Settings(init="random", schedule="linear", objective="valid", num_steps=network.num_steps)
    else:
        settings = Settings(
            init="random",
            schedule="spindle",
            objective=objective,  # type: ignore[arg-type]
            num_steps=network.num_steps,
            spindle_lambda=network.spindle_lambda,
        )
    arm = Absorbing(settings, model, vocabulary_of(network).to(device), Path())
    arm.module.to(device)
    if network.length > arm.max_length:
        raise ValueError(
            f"audit.network.length: found {network.length}; its backbone holds at most {arm.max_length} tokens between "
            "[CLS] and [SEP]"
        )
    return arm


def vocabulary_of(network: Network) -> Vocabulary:
    """The source's tokens behind the four special ids; counts are those expected of the training sentences."""
    source = network.source
    information = torch.full((network.vocab_size + FIRST_WORD,), torch.nan, dtype=torch.float64)
    information[FIRST_WORD:] = source.information
    counts = torch.zeros(len(information), dtype=torch.long)
    counts[FIRST_WORD:] = (source.probability * network.train_sentences * network.length).round().long()
    candidates = torch.arange(len(information)) >= FIRST_WORD
    return Vocabulary(MASK, PAD, CLS, SEP, candidates, counts, information, source.entropy)


def _training(network: Network) -> Training:
    return Training(
        steps=network.steps,
        batch_size=network.batch_size,
        learning_rate=network.learning_rate,
        lr_warmup_steps=max(1, network.steps // 20),
        lr_decay="linear",
        weight_decay=0.0,
        grad_clip=1.0,
        warmup=0,
        log_every=network.steps,
        valid_every=network.steps,
        valid_sentences=1,
        valid_strata=1,
        checkpoint_every=network.steps,  # a minute's work is done again rather than resumed
    )
