"""PTE: a token that says the time, between [CLS] and the sentence, put in as an embedding.

An added token takes a share of all attention, so a pretrained model with one is another model, whatever the token
holds. Unless it begins as a twin: with the embedding and the position of [CLS], and ln 2 taken from the attention
scores of both, the two together are in every layer what [CLS] alone was, and every prediction is the one it was before.
From there its embedding moves: [CLS]'s plus a map of t that starts at 0. (A learnt gate on its attention would start
at a weight near 0, through which hardly any gradient comes.) The release uses unused entries of the vocabulary,
t + 110, at a position of its own, which moves every word by one position and is no identity.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from diffusionbert.denoisers.backbone import first_position
from diffusionbert.denoisers.time_map import TimeMap
from diffusionbert.shapes import Float, Int

# those that take position ids and an additive mask, and nothing else of where a token stands
BACKBONES = frozenset(("albert", "bert", "camembert", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta"))


class PrefixTime(nn.Module):
    """A time token for an encoder that takes embeddings, position ids and an additive attention mask."""

    # it shares [CLS]'s position; but encoders keep buffers as long as their positions, which one token more must fit
    num_positions = 1

    def __init__(self, model: Any, num_steps: int) -> None:
        if model.config.model_type not in BACKBONES:
            raise ValueError(
                f"time: found 'pte' with a backbone of type '{model.config.model_type}'; expected one of "
                f"{', '.join(sorted(BACKBONES))}, whose positions and attention it is known to leave as they were"
            )
        super().__init__()
        self.map = TimeMap(int(model.get_input_embeddings().embedding_dim), num_steps)

    def forward(
        self, encoder: Any, framed: Int[Tensor, "B L"], attended: Int[Tensor, "B L"], t: Tensor
    ) -> Float[Tensor, "B L H"]:
        words = encoder.get_input_embeddings()(framed)
        cls = words[:, :1]
        embedded = torch.cat([cls, cls + self.map(t).unsqueeze(1).to(cls.dtype), words[:, 1:]], 1)
        place = torch.arange(framed.shape[1], device=framed.device)
        place = torch.cat([place[:1], place])  # the twin stands where [CLS] stands
        told: dict[str, Any] = {"attention_mask": _masks(encoder.config, place, attended)}
        told["position_ids"] = (place + first_position(encoder.config)).expand(len(framed), -1)
        hidden = encoder(inputs_embeds=embedded, **told).last_hidden_state
        return torch.cat([hidden[:, :1], hidden[:, 2:]], 1)


def _masks(config: Any, place: Int[Tensor, S], attended: Int[Tensor, "B L"]) -> Any:
    """What is added to every attention score, (B, 1, S, S); ModernBERT wants it for its near-sighted layers too."""
    seen = torch.cat([attended[:, :1], attended], 1)[:, None, None, :] > 0
    twins = torch.where(torch.arange(len(place), device=place.device) < 2, -math.log(2), 0.0)
    scores = torch.where(seen, twins, -torch.inf).expand(-1, 1, len(place), -1)
    if config.model_type != "modernbert":
        return scores
    near = (place[:, None] - place[None, :]).abs() <= config.sliding_window
    # a row of padding may see nothing at all: it sees itself, and nobody reads it
    near_seen = (near & seen) | torch.eye(len(place), dtype=torch.bool, device=place.device)
    return {"full_attention": scores, "sliding_attention": torch.where(near_seen, twins, -torch.inf)}
