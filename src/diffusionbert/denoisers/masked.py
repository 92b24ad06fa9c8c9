"""The denoiser of absorbing diffusion: a masked LM read as p~(x0 | x_t), told the step t or not (`time.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from diffusionbert.denoisers.backbone import head_of, num_positions
from diffusionbert.denoisers.layer_time import LayerTime
from diffusionbert.denoisers.prefix_time import PrefixTime
from diffusionbert.shapes import Bool, Float, Int


@dataclass(frozen=True)
class Framing:
    """The ids around a sentence: [CLS] x [SEP], then padding that is not attended to."""

    pad_id: int
    cls_id: int
    sep_id: int


class MaskedDenoiser(nn.Module):
    """x_t in, logits of x0 out, in two halves: `encode` the sentence, `predict` at chosen positions.

    [CLS] and [SEP] stand around the sentence, always visible and never counted (the release puts [SEP] behind the
    padding, where nothing attends to it). Without a time module the step t is taken and not used: the number of [MASK]
    tells it.
    """

    def __init__(self, model: Any, framing: Framing, time: LayerTime | PrefixTime | None = None) -> None:
        """`model` is a Hugging Face masked LM; `time` is what `time_module` made for it.

        Raises ValueError when the model has no position left for a sentence.
        """
        super().__init__()
        self.model = model
        self.framing = framing
        self.time = time
        self._head = head_of(model)
        if self.max_length < 1:
            raise ValueError(
                f"the backbone has {model.config.max_position_embeddings} positions, which [CLS], [SEP]"
                f"{' and the time token' if time is not None else ''} use up; expected one at least for the text"
            )

    @property
    def time_agnostic(self) -> bool:
        return self.time is None

    @property
    def max_length(self) -> int:
        """The longest sentence that fits: [CLS], [SEP] and a time token taken off."""
        around = 2 if self.time is None else 2 + self.time.num_positions
        return num_positions(self.model.config) - around

    def encode(self, xt: Int[Tensor, "B L"], lengths: Int[Tensor, B], t: Tensor) -> Float[Tensor, "B L H"]:
        """Hidden states of the sentence's own positions; t is (B,), whole or real."""
        framing, (batch, length) = self.framing, xt.shape
        place = torch.arange(length + 2, device=xt.device)
        framed = torch.full((batch, length + 2), framing.pad_id, device=xt.device)
        framed[:, 0] = framing.cls_id
        framed[:, 1:-1] = xt
        framed = torch.where(place == lengths[:, None] + 1, framing.sep_id, framed)
        framed = torch.where(place > lengths[:, None] + 1, framing.pad_id, framed)
        attended = (place <= lengths[:, None] + 1).long()
        encoder = getattr(self.model, self.model.base_model_prefix)
        if self.time is None:
            return encoder(input_ids=framed, attention_mask=attended).last_hidden_state[:, 1:-1]
        told: Tensor = self.time(encoder, framed, attended, t)
        return told[:, 1:-1]

    def predict(self, hidden: Float[Tensor, "B L H"], positions: Bool[Tensor, "B L"]) -> Float[Tensor, "M V"]:
        """Logits at the chosen positions, row-major; float32 whatever the autocast."""
        return self._head(hidden[positions]).float()
