"""dvc.lock: which stages were made, of what, and the key that says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from diffusionbert.config import read_yaml

Entry = Mapping[str, Any]  # what dvc.lock says of one stage: cmd, deps, params, outs


def entries(root: Path) -> dict[str, Entry]:
    """The entries of dvc.lock by stage; none before the first run.

    Raises ValueError naming the file when it is not YAML.
    """
    path = root / "dvc.lock"
    return dict(read_yaml(path).get("stages") or {}) if path.exists() else {}


def key(entry: Entry) -> str:
    """The hash of the command, the resolved params and the dependencies' hashes."""
    made_of = {
        "cmd": entry["cmd"],
        "deps": {dep["path"]: _hash(dep) for dep in entry.get("deps", [])},
        "params": entry.get("params", {}),
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:32]


def made(entry: Entry, outputs: Mapping[str, str], settings: str | None) -> bool:
    """Whether an execution that left these outputs under this params.yaml is the one of the entry.

    Files alone are compared, not folders; at least one must be there, and none may differ.
    """
    expected = {out["path"]: _hash(out) for out in entry.get("outs", [])}
    common = expected.keys() & outputs.keys()
    return bool(common) and all(expected[path] == outputs[path] for path in common) and _same_params(entry, settings)


def _hash(item: Mapping[str, Any]) -> str | None:
    return item.get(item.get("hash", "md5"))


def _same_params(entry: Entry, settings: str | None) -> bool:
    expected = entry.get("params", {}).get("params.yaml", {})
    try:
        read = YAML(typ="safe", pure=True).load(settings or "")
    except YAMLError:
        return False
    return all(_look_up(read, name) == value for name, value in expected.items())


def _look_up(values: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(values, dict) or part not in values:
            return None
        values = values[part]
    return values
