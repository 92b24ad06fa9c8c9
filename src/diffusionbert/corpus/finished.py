"""Finished shards, kept beside the output until all are made: a run that was killed takes them over.

A shard is a function of its sentences and of a recipe (tokenizer, longest length, how rows are made). Beside it stands
a record with the sums of its sentences and of itself; it is taken only when both are what they must be.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusionbert.files import read_json, sha256, write_json


@dataclass(frozen=True)
class Finished:
    """A folder of shards of one recipe, named by split and number."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.arrow"

    def keep(self, name: str, sentences: str, told: dict[str, Any]) -> dict[str, Any]:
        """Records a shard that is whole; `sentences` is the sum of its text, `told` what is counted of it."""
        path = self.path(name)
        entry = {"bytes": path.stat().st_size, "sha256": sha256(path), **told}
        write_json(self._record(name), {"sentences": sentences, "shard": entry})
        return entry

    def take(self, name: str, sentences: str) -> dict[str, Any] | None:
        """What was recorded of a shard of these sentences, None where it is to be made; a damaged one is told."""
        path = self.path(name)
        try:
            record = read_json(self._record(name))
            entry: dict[str, Any] = record["shard"]
            if record["sentences"] != sentences:
                return None
            if path.is_file() and path.stat().st_size == entry["bytes"] and sha256(path) == entry["sha256"]:
                return entry
        except (ValueError, KeyError, TypeError):
            if not self._record(name).exists():
                return None
        print(f"tokenize: {path}: damaged since it was finished; it is made again", file=sys.stderr, flush=True)
        return None

    def put(self, name: str, target: Path) -> None:
        """The shard at `target`: another name of the same file, or a copy on another disk."""
        try:
            os.link(self.path(name), target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(self.path(name), target)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"
