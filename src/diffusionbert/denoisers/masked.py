"""The denoiser of absorbing diffusion: a masked LM read as p~(x0 | x_t), time-agnostic (TAD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from diffusionbert.denoisers.backbone import head_of
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
    padding, where nothing attends to it). The step t is taken and not used: the number of [MASK] tells it.
    """

    time_agnostic = True

    def __init__(self, model: Any, framing: Framing) -> None:
        super().__init__()
        self.model = model
        self.framing = framing
        self._head = head_of(model)

    @property
    def max_length(self) -> int:
        """The longest sentence that fits, [CLS] and [SEP] taken off; RoBERTa's positions start after its pad id."""
        config = self.model.config
        offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
        return int(getattr(config, "max_position_embeddings", 1 << 30)) - offset - 2

    def encode(self, xt: Int[Tensor, "B L"], lengths: Int[Tensor, B], t: Int[Tensor, B]) -> Float[Tensor, "B L H"]:
        """Hidden states of the sentence's own positions."""
        framing, (batch, length) = self.framing, xt.shape
        place = torch.arange(length + 2, device=xt.device)
        framed = torch.full((batch, length + 2), framing.pad_id, device=xt.device)
        framed[:, 0] = framing.cls_id
        framed[:, 1:-1] = xt
        framed = torch.where(place == lengths[:, None] + 1, framing.sep_id, framed)
        framed = torch.where(place > lengths[:, None] + 1, framing.pad_id, framed)
        attended = (place <= lengths[:, None] + 1).long()
        encoder = getattr(self.model, self.model.base_model_prefix)
        return encoder(input_ids=framed, attention_mask=attended).last_hidden_state[:, 1:-1]

    def predict(self, hidden: Float[Tensor, "B L H"], positions: Bool[Tensor, "B L"]) -> Float[Tensor, "M V"]:
        """Logits at the chosen positions, row-major; float32 whatever the autocast."""
        return self._head(hidden[positions]).float()
