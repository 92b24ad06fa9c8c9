"""Weights averaged over the steps, w_bar <- d w_bar + (1 - d) w, which are validated and saved in place of the last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The average of a module's parameters at decay `decay`; where it is None there is none, and nothing is done.

    The first steps count more: d is at most (1 + n) / (10 + n) after n of them, as in Score-Entropy and MDLM, so that
    the weights of the start are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float | None) -> None:
        self._parameters = list(module.parameters()) if decay is not None else []
        self._decay = decay
        self._weights = [parameter.detach().clone() for parameter in self._parameters]
        self._updates = 0

    @torch.no_grad()
    def update(self) -> None:
        if self._decay is None:
            return
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        for weight, parameter in zip(self._weights, self._parameters, strict=True):
            weight.lerp_(parameter, 1 - decay)
        self._updates += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module has the averaged weights inside, and its own again afterwards; nothing is copied."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self) -> None:
        for place, parameter in enumerate(self._parameters):
            parameter.data, self._weights[place] = self._weights[place], parameter.data

    def state(self) -> dict[str, list[Tensor] | int]:
        return {"weights": self._weights, "updates": self._updates}

    def restore(self, state: dict[str, list[Tensor] | int]) -> None:
        found, updates = state["weights"], state["updates"]
        assert isinstance(found, list)
        assert isinstance(updates, int)
        for weight, saved in zip(self._weights, found, strict=True):
            weight.copy_(saved)
        self._updates = updates
