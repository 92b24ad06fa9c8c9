"""The optimiser and its learning rate."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from diffusionbert.training.settings import Settings


def rate_multiplier(step: int, settings: Settings) -> float:
    """The learning rate's share at a step: linear warm-up, then constant, linear to 0, or inverse square root.

    The last is the release's, sqrt(warm-up / step): 100 / sqrt(step) for its 10,000 steps.
    """
    warm = settings.lr_warmup_steps
    if step < warm:
        return (step + 1) / warm
    if settings.lr_decay == "linear":
        return max(0.0, (settings.steps - step) / max(1, settings.steps - warm))
    if settings.lr_decay == "inverse_sqrt":
        return math.sqrt(max(1, warm) / max(1, step))
    return 1.0


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices alone: biases and normalisations are left free."""
    matrices = [parameter for parameter in module.parameters() if parameter.dim() >= 2]
    vectors = [parameter for parameter in module.parameters() if parameter.dim() < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
