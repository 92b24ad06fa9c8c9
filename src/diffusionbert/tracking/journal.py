"""The journal of one stage: JSON lines under .tracking/journal/, and the context manager that keeps it.

Nothing that goes wrong here may change a result: a journal that cannot be written, like a server that cannot
be reached, costs one warning and the stage goes on.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Any

import psutil

from diffusionbert.files import replacing
from diffusionbert.tracking import engine
from diffusionbert.tracking.mirror import Live

SWITCH = "DIFFUSIONBERT_TRACKING"
JOURNALS = Path(".tracking/journal")
LARGEST_ARTIFACT = 8 * 1024 * 1024  # bytes copied beside the journal; larger files stay where the stage put them
LARGEST_OUTPUT = 8 * 1024 * 1024  # bytes hashed of one output, to know later which lock entry this run made


def project_root() -> Path:
    """The nearest folder upwards that holds dvc.yaml; without one, the working folder."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "dvc.yaml").exists()), here)


def is_on() -> bool:
    """Raises ValueError for a value of the switch that is neither on nor off."""
    value = os.environ.get(SWITCH, "on")
    if value not in ("on", "off"):
        raise ValueError(f"{SWITCH}: found '{value}'; expected on or off")
    return value == "on"


def now() -> int:
    return round(time.time() * 1000)


@dataclass
class _File:
    """An open journal; after the first fault it takes nothing more."""

    path: Path
    live: Live
    broken: bool = False

    def line(self, event: str, **values: Any) -> None:
        if self.broken:
            return
        text = json.dumps({"event": event, "time": now(), **values}, ensure_ascii=False, allow_nan=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            self.fail(error)

    def fail(self, error: OSError) -> None:
        self.broken = True
        print(f"warning: tracking: {error}; the rest of this stage is not tracked", file=sys.stderr)

    def send(self, when: Callable[[Live], None]) -> None:
        if not self.broken:
            when(self.live)


@dataclass
class Journal:
    """What a stage tells about itself; without a file (tracking off) it tells nobody."""

    _file: _File | None = field(default=None, repr=False)

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Names carry their unit and are the same in all arms; NaN and infinity are kept."""
        if self._file is not None:
            numbers = {name: float(value) for name, value in values.items()}
            told = {name: value if math.isfinite(value) else str(value) for name, value in numbers.items()}
            self._file.line("metrics", step=step or 0, values=told)
            self._file.send(Live.poll)

    def artifact(self, path: Path) -> None:
        """A small file is copied as it is now; of one too large for that only name and size are kept."""
        if self._file is None or self._file.broken:
            return
        try:
            size = path.stat().st_size
            if size <= LARGEST_ARTIFACT:
                with replacing(self._file.path.with_suffix("") / path.name) as aside:
                    shutil.copyfile(path, aside)
        except OSError as error:
            self._file.fail(error)
            return
        if size <= LARGEST_ARTIFACT:
            self._file.line("artifact", name=path.name)
        else:
            self._file.line("tags", values={f"not_copied.{path.name}": f"{size} bytes"})

    def tags(self, values: Mapping[str, str]) -> None:
        if self._file is not None:
            self._file.line("tags", values={name: str(value) for name, value in values.items()})


@contextmanager
def run(
    stage: str, instance: str | None, params: Mapping[str, Any], *, outputs: Sequence[Path] = ()
) -> Iterator[Journal]:
    """Keeps the journal of one execution of a stage and mirrors it while it runs.

    `outputs` are files and folders the stage writes to. Raises ValueError for a bad DIFFUSIONBERT_TRACKING.
    """
    if not is_on():
        yield Journal()
        return
    root = project_root()
    started = time.time()
    title = stage if instance is None else f"{stage}@{instance}"
    path = root / JOURNALS / f"{round(started * 1000)}-{title}-{os.getpid()}.jsonl"
    file = _File(path, Live(root, path))
    file.line("start", **_start(root, stage, instance, params))
    file.send(Live.ship)
    try:
        yield Journal(file)
    except BaseException as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        file.line("end", status="failed", error=reason[:500])
        file.send(Live.finish)
        raise
    file.line("end", status="finished", outputs=written(root, outputs, since=started))
    file.send(Live.finish)


def _start(root: Path, stage: str, instance: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
    me, under = psutil.Process(), engine.find()
    return {
        **opening(root, None if under is None else vars(under)),
        "stage": stage,
        "instance": instance,
        "status": "executed",
        "process": engine.identity(me.pid, me.create_time()),
        "params": dict(flatten(params)),
    }


def opening(root: Path, under: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the first line tells of every stage, executed or cached."""
    return {
        "engine": under,
        "host": host(),
        "commit": commit(root),
        "settings": _text(root / "params.yaml"),  # whole, to be compared with what dvc.lock resolved
    }


def host() -> str:
    """Tells machines that share a folder apart, without naming them."""
    return md5(platform.node().encode(), usedforsecurity=False).hexdigest()[:8]


def commit(root: Path) -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):  # no git, no repository, or nothing committed yet
        return None
    return found.stdout.strip()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """{"a": {"b": 1}} -> ("a.b", "1"); what is no mapping is told as JSON."""
    for name, value in values.items():
        if hasattr(value, "model_dump"):
            value = value.model_dump(mode="json")
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, default=str)


def written(root: Path, outputs: Iterable[Path], *, since: float) -> dict[str, str]:
    """md5 by path of the files under `outputs` that were written since then, as dvc.lock names them."""
    found = {}
    for output in outputs:
        for file in sorted(output.rglob("*")) if output.is_dir() else [output]:
            try:
                status = file.stat()
                if not file.is_file() or status.st_mtime < since - 1 or status.st_size > LARGEST_OUTPUT:
                    continue
                found[file.resolve().relative_to(root.resolve()).as_posix()] = md5(
                    file.read_bytes(), usedforsecurity=False
                ).hexdigest()
            except (OSError, ValueError):  # gone meanwhile, or not inside the project: no lock entry names it
                continue
    return found
