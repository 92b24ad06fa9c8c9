"""The steps that ours is compared with: plain masked-LM training of the same backbone by `transformers` and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusionbert.arms.absorbing import Absorbing
from diffusionbert.arms.base import Draw
from diffusionbert.bench.subjects import CLS, PAD, SEP
from diffusionbert.bench.turns import Autocast, Rival
from diffusionbert.corpus.batches import Batch
from diffusionbert.diffusion.absorbing import absorb


def framed(arm: Absorbing, batch: Batch, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    """Ids with [CLS] and [SEP], what is attended to, and where ours asks for a prediction, each (B, L + 2)."""
    alpha_bar = arm.schedule.alpha_bar(draw.t, batch.tokens, None)
    xt, masked = absorb(batch.tokens, alpha_bar, draw.uniforms, batch.counted, arm.vocabulary.mask_id)
    rows, length = xt.shape
    ids = torch.full((rows, length + 2), PAD, device=xt.device)
    ids[:, 0] = CLS
    ids[:, 1:-1] = xt
    ids.scatter_(1, batch.lengths[:, None] + 1, SEP)
    attended = torch.arange(length + 2, device=xt.device) <= batch.lengths[:, None] + 1
    # the release's objective needs the logits of every real position
    asked = batch.counted if arm.settings.objective == "released" else masked
    return ids, attended.long(), F.pad(asked, (1, 1))


def bare(arm: Absorbing, model: Any, device: torch.device, autocast: Autocast) -> Rival:
    """Encoder, head and cross-entropy at the positions ours predicts, backward, AdamW; nothing else."""
    encoder = getattr(model, model.base_model_prefix)

    def loss(ids: Tensor, attended: Tensor, asked: Tensor, targets: Tensor) -> Tensor:
        hidden = encoder(input_ids=ids, attention_mask=attended).last_hidden_state
        return F.cross_entropy(model.cls(hidden[asked]), targets)

    return _trained(arm, model, loss, device, autocast)


def stock(arm: Absorbing, model: Any, device: torch.device, autocast: Autocast) -> Rival:
    """`BertForMaskedLM(labels=...)` as it comes: logits of every position, ignored where there is no label."""

    def loss(ids: Tensor, attended: Tensor, asked: Tensor, targets: Tensor) -> Tensor:
        labels = torch.full_like(ids, -100).masked_scatter(asked, targets)
        told: Tensor = model(input_ids=ids, attention_mask=attended, labels=labels).loss
        return told

    return _trained(arm, model, loss, device, autocast)


def _trained(
    arm: Absorbing, model: Any, loss: Callable[..., Tensor], device: torch.device, autocast: Autocast
) -> Rival:
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def rival(batch: Batch, draw: Draw) -> Callable[[], object]:
        batch, draw = batch.to(device), draw.to(device)
        ids, attended, asked = framed(arm, batch, draw)
        targets = batch.tokens[asked[:, 1:-1]]

        def step() -> None:
            with autocast():
                value = loss(ids, attended, asked, targets)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        return step

    return rival
