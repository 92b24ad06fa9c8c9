"""A causal LM of the Hugging Face library read from left to right: p(x_i | x_<i) after a start token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from diffusionbert.denoisers.backbone import head_of
from diffusionbert.denoisers.masked import Framing
from diffusionbert.shapes import Bool, Float, Int


class CausalPredictor(nn.Module):
    """Sentences in, logits of each next token out, in two halves: `encode` what was read, `predict` where it is asked.

    The start token (a BERT tokenizer's [CLS]) stands before a sentence and the end token ([SEP]) is predicted behind
    it. Padding stands on the right, where no token of the sentence looks: no attention mask is needed.
    """

    def __init__(self, model: Any, framing: Framing) -> None:
        """Raises ValueError for a model that is more than encoder and head, or that keeps no cache."""
        super().__init__()
        self.model = model
        self.framing = framing
        self._head = head_of(model)
        self._check_split()

    @property
    def max_length(self) -> int:
        """The longest sentence that can be read behind the start token; the end token is never read."""
        return int(getattr(self.model.config, "max_position_embeddings", 1 << 30)) - 1

    def encode(self, tokens: Int[Tensor, "B L"]) -> Float[Tensor, "B L+1 H"]:
        """Hidden states from which token 0, 1, ..., L is predicted; the last one predicts the end of a full row."""
        start = torch.full_like(tokens[:, :1], self.framing.cls_id)
        return self._encoder(input_ids=torch.cat([start, tokens], 1), use_cache=False).last_hidden_state

    def targets(
        self, tokens: Int[Tensor, "B L"], lengths: Int[Tensor, B], given: Int[Tensor, B] | None = None
    ) -> tuple[Int[Tensor, "B L+1"], Bool[Tensor, "B L+1"]]:
        """The token that each state of `encode` is to predict, the end behind the last one; and where there is one.

        So many leading tokens of each sentence are `given` and not to be predicted.
        """
        place = torch.arange(tokens.shape[1] + 1, device=tokens.device)
        longer = torch.cat([tokens, torch.full_like(tokens[:, :1], self.framing.sep_id)], 1)
        wanted = torch.where(place == lengths[:, None], self.framing.sep_id, longer)
        inside = place <= lengths[:, None]
        return wanted, inside if given is None else inside & (place >= given[:, None])

    def predict(self, hidden: Float[Tensor, "*any H"], positions: Bool[Tensor, "*any"]) -> Float[Tensor, "M V"]:
        """Logits at the chosen positions, row-major; float32 whatever the autocast."""
        return self._head(hidden[positions]).float()

    def read(self, tokens: Int[Tensor, "B N"], cache: Any) -> tuple[Float[Tensor, "B H"], Any]:
        """Reads N more tokens of every sentence: the hidden state behind them, and the cache that now holds them."""
        told = self._encoder(input_ids=tokens, past_key_values=cache, use_cache=True)
        return told.last_hidden_state[:, -1], told.past_key_values

    @property
    def _encoder(self) -> Any:
        return getattr(self.model, self.model.base_model_prefix)

    @torch.no_grad()
    def _check_split(self) -> None:
        training, kind = self.model.training, self.model.config.model_type
        self.model.eval()
        ids = torch.tensor([[self.framing.cls_id, self.framing.sep_id]], device=self.model.device)
        told = self._encoder(input_ids=ids, use_cache=True)
        whole = self.model(input_ids=ids).logits
        self.model.train(training)
        if getattr(told, "past_key_values", None) is None:
            raise ValueError(
                f"backbone of type '{kind}': it keeps no past_key_values; expected a causal LM with a cache"
            )
        if not torch.allclose(self._head(told.last_hidden_state), whole, rtol=1e-3, atol=1e-4):
            raise ValueError(
                f"backbone of type '{kind}': its logits are not its head's alone; expected an encoder and one head, as "
                "GPT-2 has"
            )
