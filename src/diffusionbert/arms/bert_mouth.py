"""BERT-Mouth (Wang and Cho 1902.04094): masked-LM training continued, words named one at a time in random order.

The paper does not say how it scored it. We score what it samples from: the order-agnostic bound (`any_order.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from diffusionbert.arms.base import Draw, Figure, Loss, Vocabulary
from diffusionbert.arms.masked_scorer import MaskedScorer, orders_of
from diffusionbert.arms.masked_steps import (
    LOGITS_BUDGET_MB,
    MLM_SHARE,
    Noised,
    asked,
    check_vocabulary,
    cross_entropy,
    predictor_of,
    restore,
    save,
)
from diffusionbert.corpus.batches import Batch
from diffusionbert.denoisers.backbone import Kind
from diffusionbert.denoisers.masked import Framing, MaskedDenoiser
from diffusionbert.diffusion.any_order import hidden_beyond, num_visible, order_terms, random_order, ranks
from diffusionbert.diffusion.bound import Terms
from diffusionbert.diffusion.sampling import Canvas, State
from diffusionbert.diffusion.schedules import Linear
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.shapes import Float

MASKED_SHARE, RANDOM_SHARE = 0.8, 0.1  # of the chosen tokens; the rest is left as it is (Devlin et al. 1810.04805)
GIBBS_STEPS = 8  # steps per word of the paper's second row: 512 for 64 words


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a BERT-Mouth arm may be set to (`arms.X.settings`)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    init: Literal["pretrained", "random"]
    num_steps: int = 512  # T of the `order_*` figures; neither training nor sampling has one

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_steps is {self.num_steps}; expected at least 1")


class BertMouth:
    """A masked LM read as a model of whole texts; satisfies `arms.base.Arm`."""

    backbone_kind: ClassVar[Kind] = "masked"

    def __init__(
        self,
        settings: Settings,
        model: Any,
        vocabulary: Vocabulary,
        tokenizer_folder: Path,
        logits_budget_mb: int = LOGITS_BUDGET_MB,
    ) -> None:
        """As `Absorbing`'s. Raises ValueError when the model's vocabulary is not the tokenizer's."""
        check_vocabulary(model, vocabulary)
        self.settings = settings
        self.vocabulary = vocabulary
        self.tokenizer_folder = tokenizer_folder
        self.logits_budget_mb = logits_budget_mb
        self.denoiser = MaskedDenoiser(model, Framing(vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id))

    @property
    def module(self) -> nn.Module:
        return self.denoiser

    @property
    def num_steps(self) -> int:
        return self.settings.num_steps

    @property
    def continuous(self) -> bool:
        return False

    @property
    def one_t_per_batch(self) -> bool:
        return False

    @property
    def max_length(self) -> int:
        return self.denoiser.max_length

    def loss(self, batch: Batch, draw: Draw) -> Loss:
        """Cross-entropy, nats per chosen token, over BERT's corruption of the chosen ones; the step is not read."""
        xt, chosen = corrupted(batch, draw.uniforms, self.vocabulary)
        noisy = Noised(chosen, self.denoiser.encode(xt, batch.lengths, draw.t))
        return cross_entropy(self, batch, draw, noisy, torch.ones_like(draw.t))

    def warmup_loss(self, batch: Batch, draw: Draw) -> Loss:
        """Its own, which is a masked LM's."""
        return self.loss(batch, draw)

    def scorer(self, orders: Sequence[float], released_lambda: float, *, continuous: bool = False) -> MouthScorer:
        """The order-agnostic bound, and `valid` under the corpus-mean spindle of every lambda in `orders`."""
        scores = orders_of(orders, self.vocabulary, self.num_steps, continuous=continuous)
        return MouthScorer(MaskedScorer(self, scores, Linear(self.num_steps), continuous=continuous))

    def own_steps(self, length: int) -> tuple[int, ...]:
        return length, GIBBS_STEPS * length

    def sample(self, canvas: Canvas, num_steps: int, truncation: Truncation, rng: torch.Generator) -> Iterator[State]:
        return random_order(
            predictor_of(self, canvas),
            canvas,
            self.vocabulary.candidates,
            num_steps,
            mask_id=self.vocabulary.mask_id,
            truncation=truncation,
            rng=rng,
        )

    def save(self, folder: Path) -> None:
        save(self, folder, self.tokenizer_folder, "bert_mouth", self.settings)

    def restore(self, folder: Path) -> None:
        restore(self, folder)


def corrupted(batch: Batch, uniforms: Float[Tensor, "B L"], vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
    """BERT's corruption of 15 % of the tokens, (B, L), and which they are: 80 % [MASK], 10 % any word, 10 % as it was.

    One uniform a position decides all three: U > 0.85 chooses, and what is left of it says what becomes of the token.
    """
    chosen = (uniforms > 1 - MLM_SHARE) & batch.counted
    left = (uniforms - (1 - MLM_SHARE)) / MLM_SHARE
    words = vocabulary.candidates.nonzero()[:, 0]
    which = ((left - MASKED_SHARE) / RANDOM_SHARE * len(words)).long().clamp(0, len(words) - 1)
    xt = torch.where(left < MASKED_SHARE + RANDOM_SHARE, words[which], batch.tokens)
    xt = torch.where(left < MASKED_SHARE, vocabulary.mask_id, xt)
    return torch.where(chosen, xt, batch.tokens), chosen


class MouthScorer:
    """Scores under `bound` and `order_*`. It draws a place in (0, 1), from which each figure takes its k or its t.

    Terms carry their figure's weight, so that the mean over the places is the figure: the place's own is 1.
    """

    def __init__(self, orders: MaskedScorer) -> None:
        self.orders = orders
        self.continuous = orders.continuous
        self.num_steps: int | None = orders.num_steps
        self.figures: Mapping[str, Figure] = {
            "bound": Figure(is_bound=True, schedule="any order, one word at a time"),
            **orders.figures,
        }

    def draw_steps(
        self, uniforms: Float[Tensor, B], stratum: int, num_strata: int
    ) -> tuple[Tensor, Tensor, Float[Tensor, B]]:
        """The place as s and as t; in continuous time from its stratum's upper end, as `stratified_times` does."""
        inside = 1 - uniforms if self.continuous else uniforms
        place = (stratum + inside) / num_strata
        return place, place, torch.full_like(place, 1 / num_strata)

    def __call__(self, batch: Batch, draw: Draw, names: Sequence[str]) -> dict[str, Terms]:
        others = [name for name in names if name != "bound"]
        there, weight = self._step(draw)
        results = {
            name: Terms(terms.reveal * weight, terms.timing * weight)
            for name, terms in self.orders(batch, there, others).items()
        }
        return results | ({"bound": self._bound(batch, draw)} if "bound" in names else {})

    def _bound(self, batch: Batch, draw: Draw) -> Terms:
        arm, masked = self.orders.arm, self._masked(batch, draw)
        xt = torch.where(masked, arm.vocabulary.mask_id, batch.tokens)
        noisy = Noised(masked, arm.denoiser.encode(xt, batch.lengths, draw.t))
        return Terms.joined([order_terms(step) for step in asked(arm, batch, draw, noisy)])

    def _masked(self, batch: Batch, draw: Draw) -> Tensor:
        visible = num_visible(draw.t, batch.num_counted)
        return hidden_beyond(visible, ranks(draw.uniforms, batch.counted), batch.counted)

    def _step(self, draw: Draw) -> tuple[Draw, Tensor]:
        """The place as a step of T, or as a real t, and the weight of its terms, (B,): as an absorbing arm's."""
        num_steps = self.orders.own.num_steps
        if self.continuous:
            return replace(draw, t=num_steps * draw.t**2), 2 * num_steps * draw.t
        t = (draw.t * num_steps).long().clamp(max=num_steps - 1) + 1
        return replace(draw, s=t - 1, t=t), torch.full_like(draw.t, num_steps)

    def control(self, batch: Batch, draw: Draw, name: str) -> Tensor:
        if name != "bound":
            there, weight = self._step(draw)
            return self.orders.control(batch, there, name) * weight
        masked = self._masked(batch, draw)
        return self._information(batch, masked) * batch.num_counted / masked.sum(-1).clamp(min=1)

    def expected_control(self, batch: Batch, grid: Sequence[int], name: str) -> Tensor:
        """Of `bound`: every word is named once."""
        if name != "bound":
            return self.orders.expected_control(batch, grid, name)
        return self._information(batch, batch.counted)

    def _information(self, batch: Batch, where: Tensor) -> Tensor:
        """Nats of the words at these positions, (B,); 0 where not defined."""
        costs = self.orders.arm.vocabulary.information[batch.tokens].nan_to_num(0.0)
        return torch.where(where, costs, 0.0).sum(-1)
