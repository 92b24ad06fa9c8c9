"""After an engine: the keys of the runs it executed, and a run for every stage that came from the cache.

Everything is written to journals first and sent from there, so that a server that is away loses nothing and
recording twice adds nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusionbert.files import write_text
from diffusionbert.tracking import engine, lockfile
from diffusionbert.tracking.journal import JOURNALS, host, now, opening


@dataclass(frozen=True)
class Entry:
    """What record needs to know of one journal."""

    path: Path
    start: Mapping[str, Any]
    end: Mapping[str, Any] | None
    key: str | None

    @property
    def stage(self) -> str:
        return title(self.start["stage"], self.start["instance"])

    @property
    def engine(self) -> str | None:
        return self.start["engine"]["id"] if self.start["engine"] else None


def title(stage: str, instance: str | None) -> str:
    return stage if instance is None else f"{stage}@{instance}"


def journals(root: Path) -> list[Path]:
    """All journals, oldest first."""
    return sorted((root / JOURNALS).glob("*.jsonl"))


def read(path: Path) -> Entry | None:
    """None for a journal whose stage was killed before its first line was whole."""
    raw = path.read_bytes()
    lines = raw[: raw.rfind(b"\n") + 1].splitlines()
    if not lines:
        return None
    # Only these two kinds of line matter here, and a long training has very many of the third.
    told = [json.loads(line) for line in lines if not line.startswith(b'{"event": "metrics"')]
    start, rest = told[0], told[1:]
    end = next((line for line in rest if line["event"] == "end"), None)
    keys = [line["values"]["key"] for line in rest if line["event"] == "tags" and "key" in line["values"]]
    return Entry(path, start, end, start.get("key") or (keys[-1] if keys else None))


def close_killed(root: Path) -> None:
    """Gives an end to the journals whose process is gone without having written one."""
    for path in journals(root):
        entry = read(path)
        if entry is None or entry.end is not None or entry.start["host"] != host():
            continue
        if engine.is_alive(entry.start["process"]):
            continue
        raw = path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        line = {"event": "end", "time": round(path.stat().st_mtime * 1000), "status": "killed"}
        with path.open("r+b") as file:
            file.truncate(whole)  # a line that the kill cut short
            file.seek(whole)
            file.write(json.dumps(line).encode() + b"\n")


def give_keys(root: Path, locked: Mapping[str, lockfile.Entry]) -> int:
    """Tells the newest run that made what dvc.lock holds of a stage the key of it; how many were told.

    A run whose entry was overwritten since, by another profile or another run, made something else.
    """
    seen: set[str] = set()
    count = 0
    for path in reversed(journals(root)):
        run = read(path)
        if run is None or run.start["status"] != "executed" or run.stage not in locked or run.stage in seen:
            continue
        if run.end is None or run.end["status"] != "finished":
            continue
        entry = locked[run.stage]
        current = lockfile.key(entry)
        if run.key == current:
            seen.add(run.stage)
        elif run.key is None and lockfile.made(entry, run.end["outputs"], run.start["settings"]):
            seen.add(run.stage)
            line = {"event": "tags", "time": now(), "values": {"key": current}}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            count += 1
    return count


def fresh(root: Path) -> list[str]:
    """The stages of the pipeline that are up to date, as DVC sees it, with nothing stale above them.

    Raises ValueError when DVC cannot tell, for instance while it runs.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root), _wait_for_lock=True) as repo:
            changed = set(repo.status())
            graph = repo.index.graph
            stale = {stage for stage in graph if stage.addressing in changed}
            while below := {stage for stage in graph if stage not in stale and stale.intersection(graph[stage])}:
                stale |= below
            return sorted(stage.addressing for stage in graph if stage not in stale)
    except DvcException as error:
        raise ValueError(f"dvc.yaml: DVC cannot tell what is up to date: {error}") from None


def add_cached(root: Path, locked: Mapping[str, lockfile.Entry], stages: Sequence[str]) -> int:
    """Writes a journal for each up-to-date stage that this engine call did not execute; returns how many."""
    keys = {stage: lockfile.key(locked[stage]) for stage in stages if stage in locked}
    known = [entry for path in journals(root) if (entry := read(path)) is not None]
    under = _engine(known, keys) if keys else None
    if under is None:
        return 0
    missing = sorted(keys.keys() - {entry.stage for entry in known if entry.engine == under["id"]})
    time = now()
    end = {"event": "end", "time": time, "status": "finished", "outputs": {}}
    shared = {"event": "start", "time": time, **opening(root, under), "status": "cached", "process": "none"}
    for stage in missing:
        name, _, instance = stage.partition("@")
        start = {**shared, "stage": name, "instance": instance or None, "key": keys[stage], "params": {}}
        lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (start, end))
        write_text(root / JOURNALS / f"{time}-{stage}-cached-{under['id']}.jsonl", lines)
    return len(missing)


def _engine(known: Sequence[Entry], keys: Mapping[str, str]) -> dict[str, Any] | None:
    """The engine call under which cached stages belong; None when there is nothing to tell.

    It is the one above this process, else the newest that has a journal and has ended. A call that executed
    nothing and found all as the one before left it is not told, or each no-op would add a run per stage.
    When what is up to date now is not what the newest made or found (a bare `dvc repro` that executed nothing
    leaves no trace), it is a call without a process, named by what was there before and what is there now.
    """
    above = engine.find()
    newest = max((entry for entry in known if entry.engine), key=lambda entry: entry.start["time"], default=None)
    if above is not None and any(entry.engine == above.id for entry in known):
        return dict(vars(above))
    if newest is not None:
        found = {entry.stage: entry.key for entry in known if entry.engine == newest.engine and entry.stage in keys}
        if found == keys:
            return None
        if above is None and engine.is_alive(newest.engine or "") and newest.start["host"] == host():
            return None
        if above is None and all(keys[stage] == key for stage, key in found.items()):
            return dict(newest.start["engine"])
    if above is not None:
        return dict(vars(above))
    state = json.dumps([newest.engine if newest else None, keys], sort_keys=True)
    return {
        "id": f"cache-{hashlib.sha256(state.encode()).hexdigest()[:12]}",
        "kind": "cache",
        "started": now(),
    }
