"""Absorbing-state diffusion over a masked LM: D3PM, DiffusionBERT and MDLM, which differ in settings only.

MDLM (Sahoo et al. 2406.07524) is `schedule: linear, continuous: true, objective: valid`, time-agnostic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from diffusionbert.arms.absorbing_losses import bound_loss, masked_lm_loss, released_loss, weighted_cross_entropy
from diffusionbert.arms.base import Draw, Loss, Vocabulary
from diffusionbert.arms.masked_scorer import MaskedScorer, orders_of
from diffusionbert.arms.masked_steps import LOGITS_BUDGET_MB as LOGITS_BUDGET_MB
from diffusionbert.arms.masked_steps import check_vocabulary, noisy_steps, predictor_of, restore, save
from diffusionbert.corpus.batches import Batch
from diffusionbert.denoisers.backbone import Kind
from diffusionbert.denoisers.masked import Framing, MaskedDenoiser
from diffusionbert.denoisers.time import Design, time_module
from diffusionbert.diffusion.bound import Step
from diffusionbert.diffusion.protocols import protocols
from diffusionbert.diffusion.released_sampling import released_sampling
from diffusionbert.diffusion.sampling import Canvas, State, ancestral, first_hitting, strided_grid
from diffusionbert.diffusion.schedules import (
    Cosine,
    Linear,
    ReleasedSpindle,
    Schedule,
    Spindle,
    log_frequency,
)
from diffusionbert.diffusion.truncation import Truncation


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an absorbing arm may be set to (`arms.X.settings`)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    init: Literal["pretrained", "random"]
    schedule: Literal["linear", "cosine", "spindle"]
    objective: Literal["valid", "oracle", "released", "cross_entropy"]
    num_steps: int
    time: Design = "tad"
    spindle_lambda: float = 0.0
    spindle_mean: Literal["corpus", "sentence"] = "corpus"
    one_t_per_batch: bool = False
    weighting: Literal["uniform", "linear"] = "uniform"  # of 'cross_entropy' over t; linear: 1 - (t - 1)/T
    continuous: bool = False  # trains on the bound of T = infinity, t drawn real

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_steps is {self.num_steps}; expected at least 1")
        if not 0 <= self.spindle_lambda < float("inf"):
            raise ValueError(f"spindle_lambda is {self.spindle_lambda}; expected a number >= 0")
        if self.schedule != "spindle" and self.spindle_lambda != 0:
            raise ValueError(
                f"spindle_lambda is {self.spindle_lambda} with schedule '{self.schedule}'; only 'spindle' has one"
            )
        if self.weighting != "uniform" and self.objective != "cross_entropy":
            raise ValueError(
                f"weighting is '{self.weighting}' with objective '{self.objective}'; only 'cross_entropy' has one"
            )
        if self.continuous and self.objective != "valid":
            raise ValueError(
                f"continuous is true with objective '{self.objective}'; only 'valid' has a limit to train on"
            )
        if self.objective == "valid" and self.schedule == "spindle" and self.spindle_mean == "sentence":
            raise ValueError(
                "objective 'valid' with spindle_mean 'sentence': the model cannot know the sentence's mean; train "
                "under 'oracle', or use the mean 'corpus'"
            )

    def check_steps(self, num_eval_steps: int) -> None:
        """Raises ValueError when a strided evaluation or sampling cannot have so many steps."""
        strided_grid(self.num_steps, num_eval_steps)


def schedule_of(settings: Settings, vocabulary: Vocabulary) -> Schedule:
    if settings.schedule == "linear":
        return Linear(settings.num_steps)
    if settings.schedule == "cosine":
        return Cosine(settings.num_steps)
    return Spindle(
        settings.num_steps,
        vocabulary.information,
        settings.spindle_lambda,
        settings.spindle_mean,
        vocabulary.mean_information,
    )


class Absorbing:
    """An arm of absorbing diffusion; satisfies `arms.base.Arm`."""

    backbone_kind: ClassVar[Kind] = "masked"

    def __init__(
        self,
        settings: Settings,
        model: Any,
        vocabulary: Vocabulary,
        tokenizer_folder: Path,
        logits_budget_mb: int = LOGITS_BUDGET_MB,
    ) -> None:
        """`model` is a Hugging Face masked LM over the vocabulary; no more logits are held at once than fit the budget.

        Raises ValueError when the model's vocabulary is not the tokenizer's, or when it cannot be told the time so.
        """
        check_vocabulary(model, vocabulary)
        self.settings = settings
        self.vocabulary = vocabulary
        self.tokenizer_folder = tokenizer_folder
        self.logits_budget_mb = logits_budget_mb
        self.schedule = schedule_of(settings, vocabulary)
        framing = Framing(vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id)
        self.denoiser = MaskedDenoiser(model, framing, time_module(settings.time, model, settings.num_steps))

    @property
    def module(self) -> nn.Module:
        return self.denoiser

    @property
    def num_steps(self) -> int:
        return self.settings.num_steps

    @property
    def continuous(self) -> bool:
        return self.settings.continuous

    @property
    def one_t_per_batch(self) -> bool:
        return self.settings.one_t_per_batch

    @property
    def max_length(self) -> int:
        return self.denoiser.max_length

    def steps(self, batch: Batch, draw: Draw, schedule: Schedule) -> Iterator[Step]:
        """Noises the batch and asks the denoiser at the masked positions, a chunk of sentences at a time."""
        return noisy_steps(self, batch, draw, schedule)

    def loss(self, batch: Batch, draw: Draw) -> Loss:
        settings = self.settings
        if settings.objective == "released":
            return released_loss(self, batch, draw, self._released(settings.spindle_lambda))
        if settings.objective == "cross_entropy":
            return weighted_cross_entropy(self, batch, draw, self.schedule, settings.weighting)
        oracle = settings.objective == "oracle"
        return bound_loss(self, batch, draw, self.schedule, oracle=oracle, continuous=settings.continuous)

    def warmup_loss(self, batch: Batch, draw: Draw) -> Loss:
        return masked_lm_loss(self, batch, draw, self.num_steps)

    def _released(self, spindle_lambda: float) -> ReleasedSpindle:
        return ReleasedSpindle(self.num_steps, log_frequency(self.vocabulary.counts), spindle_lambda)

    def scorer(self, orders: Sequence[float], released_lambda: float, *, continuous: bool = False) -> MaskedScorer:
        """The three protocols, and `valid` under the corpus-mean spindle of every lambda in `orders`.

        `released` scores at its own lambda for a spindle arm and at 0 for the others, as the release would.
        """
        spindled = not self.schedule.token_independent
        scores = protocols(self.schedule, self._released(released_lambda if spindled else 0.0), continuous=continuous)
        scores |= orders_of(orders, self.vocabulary, self.num_steps, continuous=continuous)
        return MaskedScorer(self, scores, self.schedule, continuous=continuous)

    def own_steps(self, length: int) -> tuple[int, ...]:
        return ()

    def sample(self, canvas: Canvas, num_steps: int, truncation: Truncation, rng: torch.Generator) -> Iterator[State]:
        sampler = first_hitting if self.schedule.token_independent else ancestral
        return sampler(
            predictor_of(self, canvas),
            self.schedule,
            canvas,
            self.vocabulary.candidates,
            strided_grid(self.num_steps, num_steps),
            truncation=truncation,
            rng=rng,
        )

    def sample_as_released(
        self, canvas: Canvas, num_steps: int, truncation: Truncation, rng: torch.Generator
    ) -> Iterator[State]:
        """By the published code's sampler, with its spindle at this arm's lambda."""
        return released_sampling(
            predictor_of(self, canvas),
            self._released(self.settings.spindle_lambda),
            canvas,
            strided_grid(self.num_steps, num_steps),
            mask_id=self.vocabulary.mask_id,
            truncation=truncation,
            rng=rng,
        )

    def save(self, folder: Path) -> None:
        save(self, folder, self.tokenizer_folder, "absorbing", self.settings)

    def restore(self, folder: Path) -> None:
        restore(self, folder)
