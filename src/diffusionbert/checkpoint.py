"""Resume points of a training run: whole or absent, bound to the settings that made them."""

from __future__ import annotations

import pickle
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
        with replacing(self.path) as aside:
            torch.save({"key": self.key, "state": state}, aside)

    def read(self) -> dict[str, Any] | None:
        """The last state, or None where there is none.

        Raises ValueError when the file is damaged or was made under other settings.
        """
        if not self.path.exists():
            return None
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{self.path}: damaged checkpoint ({reason}); remove it to start again") from None
        if found.get("key") != self.key:
            raise ValueError(
                f"{self.path}: made under other settings (key {found.get('key')}); expected key {self.key}. Remove it "
                "to start again"
            )
        state: dict[str, Any] = found["state"]
        return state

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
