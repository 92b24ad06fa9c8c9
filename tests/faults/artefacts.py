"""What a run leaves that must be the same again, whatever happened to it; timings are not."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ruamel.yaml import YAML

from pipeline.project import Project

TIMED = ("timing", "speed")  # in a path: what depends on a clock


@dataclass(frozen=True)
class Artefacts:
    """sha256 of every result, and of every stage what dvc.lock says it was made of and made."""

    files: dict[str, str]
    lock: dict[str, Any]

    @classmethod
    def of(cls, project: Project) -> Artefacts:
        files = {name: sha256(content).hexdigest() for name, content in project.outputs().items() if not _timed(name)}
        text = (project.folder / "dvc.lock").read_text(encoding="utf-8")
        stages = YAML(typ="safe", pure=True).load(text)["stages"]
        return cls(files, {name: _untimed(entry) for name, entry in stages.items()})

    def differences(self, other: Artefacts) -> list[str]:
        """The names of files and stages that are not the same."""
        names = [
            name for name in self.files.keys() | other.files.keys() if self.files.get(name) != other.files.get(name)
        ]
        stages = [name for name in self.lock.keys() | other.lock.keys() if self.lock.get(name) != other.lock.get(name)]
        return sorted(names) + [f"dvc.lock: {name}" for name in sorted(stages)]


def _timed(name: str) -> bool:
    return any(word in name for word in TIMED)


def _untimed(entry: dict[str, Any]) -> dict[str, Any]:
    kept = dict(entry)
    for section in ("deps", "outs"):
        # a room of source code may bear such a word in its name; what a run made lies under results/
        kept[section] = [
            item
            for item in entry.get(section, [])
            if not (item["path"].startswith("results/") and _timed(item["path"]))
        ]
    return kept
