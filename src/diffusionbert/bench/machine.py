"""The machine in generic words: what a time was taken on, never a host's name."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch
import transformers


def described(device: torch.device, dtype: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "dtype": dtype,
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "transformers": transformers.__version__,
    }
    if device.type == "cuda":
        told["cuda"] = str(torch.version.cuda)
    return told


def _processor() -> str:
    """The kind of processor as the system calls it; its architecture where it does not say."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine() or "unknown"


def load_share() -> float:
    """Other work on the machine: how many processes want to run per core; about 0 when idle."""
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)
