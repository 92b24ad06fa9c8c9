"""What the stages that run a network share: threads, device and precision, and their inputs read once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from diffusionbert.config import Arm, Params, Runtime
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import InformationTable, read_information
from diffusionbert.memory import keep_freed_memory
from diffusionbert.stages.shell import Context


@dataclass(frozen=True)
class Machine:
    """Where a stage computes; `described` is what every result records of it."""

    device: torch.device
    dtype: str
    threads: int

    @classmethod
    def prepare(cls, runtime: Runtime) -> Machine:
        """Sets torch's threads and picks the device. Raises ValueError when cuda is asked for and absent."""
        torch.set_num_threads(runtime.threads)
        keep_freed_memory()
        if runtime.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("runtime.device: found 'cuda', and torch sees no GPU; expected 'auto' or 'cpu' here")
        wanted = runtime.device
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(torch.device(wanted), runtime.dtype, runtime.threads)

    @property
    def described(self) -> dict[str, Any]:
        told: dict[str, Any] = {"device": self.device.type, "dtype": self.dtype, "threads": self.threads}
        if self.device.type == "cuda":
            told["device_name"] = torch.cuda.get_device_name(self.device)  # the report names the hardware
        return told

    @property
    def autocast(self) -> Callable[[], AbstractContextManager[Any]]:
        enabled = self.dtype == "bfloat16"
        return lambda: torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)


def compile_encoders(module: torch.nn.Module) -> None:
    """Has torch.compile make the encoders of a module, in place; the rest has shapes that follow from the masks."""
    from transformers import PreTrainedModel

    for part in module.modules():
        if isinstance(part, PreTrainedModel) and part.base_model is part:
            part.compile(dynamic=True)


def named_arm(params: Params, name: str) -> Arm:
    """The row of an arm. Raises ValueError when params.yaml has none of this name."""
    if name not in params.arms:
        raise ValueError(f"--arm: found '{name}'; expected one of {', '.join(sorted(params.arms))}")
    return params.arms[name]


def tokens_of(context: Context) -> tuple[Shards, InformationTable]:
    """The shards and the information table that the paths `tokens` and `information` name."""
    shards = Shards.open(context.paths["tokens"] / "shards")
    return shards, read_information(context.paths["information"] / "table.parquet", shards.special)
