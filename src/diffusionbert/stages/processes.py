"""Several processes that train one arm together: how a stage starts them, and what each does as one of them.

torchrun (`torch.distributed.run`) starts them, by hand or from here; accelerate chooses device and backend, wraps the
module in DistributedDataParallel and has the precision. A stage that runs alone imports neither.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from diffusionbert.config import ConfigError, Runtime, load
from diffusionbert.ranks import num_ranks
from diffusionbert.training import ALONE, Distribution

STOPPED = 128 + signal.SIGTERM  # the exit status of a run that wrote its state and stopped: to be started again


def wanted(arguments: Sequence[str]) -> int:
    """How many processes params.yaml asks for; 1 inside one of them, and where the file is wrong: the stage says so."""
    if "LOCAL_RANK" in os.environ:
        return 1
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    try:
        runtime = load(parser.parse_known_args(arguments)[0].params).runtime
    except ConfigError:
        return 1
    if runtime.processes != "auto":
        return runtime.processes
    return max(1, torch.cuda.device_count()) if runtime.device != "cpu" else 1


def start(module: str, arguments: Sequence[str], processes: int) -> int:
    """Runs `python -m module` in so many processes of this machine; the exit status of the first that failed."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the stage itself says what was wrong
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does, without its warning; the stage sets its own
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,  # the engines start it again
        shutdown_timeout=120,  # seconds to write the state in
    )
    try:
        elastic_launch(config, sys.executable)("-m", module, *arguments)
    except ChildFailedError as error:
        status = error.get_first_failure()[1].exitcode
        return status if status > 0 else 128 - status  # below 0: killed by that signal
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def join(runtime: Runtime) -> Distribution:
    """This process as one of those that train together, or alone. Raises ValueError without accelerate."""
    if num_ranks() == 1:
        return ALONE
    _end_with_launcher()
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError:
        raise ValueError("runtime.processes: several, and accelerate is not installed; expected 1 without it") from None
    # an arm may leave weights of its backbone unused (Diffusion-LM its words); statistics are the loop's to share
    kind = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified")
    precision = "bf16" if runtime.dtype == "bfloat16" else "no"
    cpu = runtime.device == "cpu" or not torch.cuda.is_available()  # where 'auto' has accelerate join nobody
    joined = Accelerated(Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[kind]))
    if joined.num_ranks != num_ranks():
        raise ValueError(
            f"runtime.processes: accelerate joined {joined.num_ranks} of {num_ranks()} processes; expected all"
        )
    return joined


def _end_with_launcher() -> None:
    """Has Linux send SIGTERM when the launcher dies, which nobody else would tell: the state is written then."""
    if sys.platform == "linux":
        pdeathsig = 1  # PR_SET_PDEATHSIG of linux/prctl.h
        ctypes.CDLL(None, use_errno=True).prctl(pdeathsig, signal.SIGTERM, 0, 0, 0)


@dataclass(frozen=True)
class Accelerated:
    """Satisfies `training.Distribution`."""

    accelerator: Any

    @property
    def rank(self) -> int:
        return int(self.accelerator.process_index)

    @property
    def num_ranks(self) -> int:
        return int(self.accelerator.num_processes)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.accelerator.device
        return device

    def wrap(self, module: nn.Module) -> nn.Module:
        wrapped: nn.Module = self.accelerator.prepare_model(module)
        return wrapped

    def without_exchange(self, wrapped: nn.Module) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self.accelerator.no_sync(wrapped)
        return context

    def sum(self, values: Tensor) -> Tensor:
        summed: Tensor = self.accelerator.reduce(values, "sum")
        return summed

    def rows(self, values: Tensor) -> Tensor:
        gathered: Tensor = self.accelerator.gather(values)
        return gathered

    def objects(self, value: Any) -> list[Any]:
        from accelerate.utils import gather_object

        gathered: list[Any] = gather_object([value])
        return gathered


@contextmanager
def stopping_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Inside, SIGTERM ends nothing: what is yielded says whether it came. Preemption sends it, and a kill later."""
    came: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        came.append(number)

    if threading.current_thread() is not threading.main_thread():  # where Python lets nobody handle a signal
        yield lambda: False
        return
    before = signal.signal(signal.SIGTERM, remember)
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGTERM, before)


def leave() -> None:
    """Ends the group of processes, where there is one: what is left open at the end is warned of."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
