"""What the loop asks of the processes that train together; one process asks nobody.

Whoever starts several processes brings their implementation (`stages/processes.py`): here nothing is imported for it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn


class Distribution(Protocol):
    """One of `num_ranks` processes, each with a copy of the module and its own rows of every batch."""

    @property
    def rank(self) -> int: ...

    @property
    def num_ranks(self) -> int: ...

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, the gradients of whose parameters are averaged over all ranks by every backward pass."""
        ...

    def without_exchange(self, wrapped: nn.Module) -> AbstractContextManager[Any]:
        """Where backward passes add to the own gradients alone, until one outside averages all that was added."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks, the same on each."""
        ...

    def rows(self, values: Tensor) -> Tensor:
        """The rows of all ranks one after another; every rank has as many."""
        ...

    def objects(self, value: Any) -> list[Any]:
        """What every rank gave, in their order, on each."""
        ...


@dataclass(frozen=True)
class _Alone:
    rank: int = 0
    num_ranks: int = 1

    def wrap(self, module: nn.Module) -> nn.Module:
        return module

    def without_exchange(self, wrapped: nn.Module) -> AbstractContextManager[Any]:
        return nullcontext()

    def sum(self, values: Tensor) -> Tensor:
        return values

    def rows(self, values: Tensor) -> Tensor:
        return values

    def objects(self, value: Any) -> list[Any]:
        return [value]


ALONE: Distribution = _Alone()
