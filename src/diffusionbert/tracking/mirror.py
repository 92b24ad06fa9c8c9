"""Sends a journal to MLflow from the offset up to which it was sent: the same code live and on replay."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from diffusionbert.files import read_json, write_json
from diffusionbert.tracking.locks import locked

if TYPE_CHECKING:
    from diffusionbert.tracking.store import Store

SECONDS_BETWEEN = 10.0
SECONDS_AFTER_A_FAULT = 300.0
LINES_AT_ONCE = 500


@dataclass(frozen=True)
class Sent:
    """What was sent of a journal, and the hash of the store's URI, which may hold a password."""

    store: str
    offset: int = 0
    run: str | None = None
    parent: str | None = None
    ended: bool = False


def sent(path: Path, uri: str) -> Sent:
    """Where sending goes on: a run that ended in one store stays there, another one starts anew elsewhere."""
    store = sha256(uri.encode()).hexdigest()[:16]
    try:
        before = Sent(**read_json(_beside(path)))
    except ValueError:  # never sent, or damaged: sending again changes nothing
        return Sent(store)
    return before if before.store == store or before.ended else Sent(store)


def is_sent(path: Path) -> bool:
    """Whether nothing of the journal waits, wherever it was sent to."""
    try:
        before = Sent(**read_json(_beside(path)))
    except ValueError:
        return False
    return before.ended and before.offset >= path.stat().st_size


def send(store: Store, path: Path) -> int:
    """Sends the lines that are new and returns how many; what is half-written waits for its end.

    Raises MlflowException when the store refuses or cannot be reached; what was sent until then stays noted.
    """
    with locked(path.with_suffix(".lock")):
        state = sent(path, store.uri)
        count = 0
        for lines, offset in _unsent(path, state.offset):
            state = replace(_send(store, path, lines, state), offset=offset)
            write_json(_beside(path), asdict(state))
            count += len(lines)
        return count


def _beside(path: Path) -> Path:
    return path.with_suffix(".sent.json")


def _unsent(path: Path, offset: int) -> Iterator[tuple[list[dict[str, Any]], int]]:
    with path.open("rb") as file:
        file.seek(offset)
        lines = []
        for raw in file:
            if not raw.endswith(b"\n"):
                break
            offset += len(raw)
            lines.append(json.loads(raw))
            if len(lines) == LINES_AT_ONCE:
                yield lines, offset
                lines = []
        if lines:
            yield lines, offset


def _send(store: Store, path: Path, lines: Sequence[Mapping[str, Any]], state: Sent) -> Sent:
    start = lines[0]
    params: Mapping[str, str] = {}
    if start["event"] == "start":
        state = _begin(store, path, start, state)
        params = start["params"]
    assert state.run is not None, f"{path}: no start line"
    metrics = [
        (name, float(value), line["time"], line["step"])  # what is not finite stands there as text
        for line in lines
        if line["event"] == "metrics"
        for name, value in line["values"].items()
    ]
    tags: dict[str, str] = {}
    for line in lines:
        if line["event"] == "tags":
            tags |= line["values"]
        elif line["event"] == "end" and "error" in line:
            tags["error"] = line["error"]
    store.log(state.run, params=params, metrics=metrics, tags=tags)
    for line in lines:
        if line["event"] == "artifact":
            store.artifact(state.run, path.with_suffix("") / line["name"])
        elif line["event"] == "end":
            store.end(state.run, state.parent, line["status"], line["time"])
            state = replace(state, ended=True)
    return state


def _begin(store: Store, path: Path, start: Mapping[str, Any], state: Sent) -> Sent:
    """Opens the run of a journal under its engine's."""
    engine = start["engine"]
    shared = {"commit": start["commit"] or "unknown", "profile": profile(start["settings"])}
    parent = None if engine is None else store.parent(engine, shared)
    title = start["stage"] if start["instance"] is None else f"{start['stage']}@{start['instance']}"
    tags = {
        **shared,
        "level": "stage",
        "stage": start["stage"],
        "status": start["status"],
        "engine": "none" if engine is None else engine["id"],
    }
    if start["instance"] is not None:
        tags["arm"] = start["instance"]
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    if start["status"] == "cached":
        tags |= {"key": start["key"], "origin_run": store.made_by(start["key"]) or "unknown"}
    return replace(state, run=store.run(path.stem, title, start["time"], tags), parent=parent)


def profile(settings: str | None) -> str:
    """The profile that a params.yaml names."""
    try:
        read = YAML(typ="safe", pure=True).load(settings or "")
    except YAMLError:
        return "unknown"
    return str(read.get("profile", "unknown")) if isinstance(read, dict) else "unknown"


def unreachable(uri: str, error: Exception) -> str:
    """One line, without a password that the URI may hold."""
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    if isinstance(error, ImportError):
        reason = "mlflow is not installed"
    elif " failed with exception " in reason:  # how mlflow's client words what its connection raised
        reason = "cannot be reached"
    where = without_password(uri)
    return f"warning: tracking: {where}: {reason}; results are not affected, `make track` sends what waits"


def without_password(uri: str) -> str:
    return re.sub(r"//[^@/]*@", "//", uri)


@dataclass
class Live:
    """Mirrors the journal of a running stage: at its start, then every ten seconds at most, and at its end.

    After a fault there is one warning and five minutes of rest, so that a dead server costs next to nothing.
    """

    root: Path
    path: Path
    _store: Store | None = field(default=None, init=False)
    _due: float = field(default=0.0, init=False)
    _failed: bool = field(default=False, init=False)
    _warned: bool = field(default=False, init=False)

    def poll(self) -> None:
        if time.monotonic() >= self._due:
            self.ship()

    def finish(self) -> None:
        if not self._failed or time.monotonic() >= self._due:
            self.ship()

    def ship(self) -> None:
        uri = "MLflow"
        try:
            from diffusionbert.tracking.store import Store, target

            uri = target(self.root)
            if self._store is None:
                self._store = Store.open(self.root)
            send(self._store, self.path)
        # Whatever a client, a server, a driver or a disk may raise: tracking never ends a stage.
        except Exception as error:
            self._failed = True
            if not self._warned:
                print(unreachable(uri, error), file=sys.stderr)
            self._warned = True
        else:
            self._failed = False
        self._due = time.monotonic() + (SECONDS_AFTER_A_FAULT if self._failed else SECONDS_BETWEEN)
