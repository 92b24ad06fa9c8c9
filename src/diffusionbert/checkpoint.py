"""Resume points of a training run: whole or absent, bound to the settings that made them."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from diffusionbert.files import replacing


@dataclass(frozen=True)
class Checkpoint:
    """One file under `folder`, the last state of a run whose settings hash to `key`."""

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        return self.folder / "last.pt"

    def write(self, state: dict[str, Any]) -> None:
        content = io.BytesIO()
        torch.save({"key": self.key, "state": state}, content)
        data = content.getvalue()
        with replacing(self.path) as aside:
            aside.write_bytes(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)

    def read(self) -> dict[str, Any] | None:
        """The last state, or None where there is none.

        Raises ValueError when the file is damaged or was made under other settings.
        """
        if not self.path.exists():
            return None
        digest, _, data = self.path.read_bytes().partition(b"\n")
        if hashlib.sha256(data).hexdigest().encode() != digest:
            raise ValueError(f"{self.path}: damaged checkpoint, its sum does not match; remove it to start again")
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if found.get("key") != self.key:
            raise ValueError(
                f"{self.path}: made under other settings (key {found.get('key')}); expected key {self.key}. Remove it "
                "to start again"
            )
        state: dict[str, Any] = found["state"]
        return state

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
