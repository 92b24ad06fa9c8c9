"""Both engines as a user starts them; which stages run; SIGKILL to all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import psutil

from pipeline.project import LONGEST, Project

STAGES = "diffusionbert.stages."
COMMANDS = {
    "snakemake": ("python", "-m", "workflow.run", "--profile", "engines", "--cores", "2"),  # what `make run` runs
    "dvc": ("dvc", "repro"),
}


def start(project: Project, engine: str) -> subprocess.Popen[str]:
    return project.start(*COMMANDS[engine])


@dataclass(frozen=True)
class Stage:
    """A stage at work: the process that DVC waits for."""

    process: int
    family: str


@dataclass
class Watch:
    """How long the stages of a clone are at work, as seen from outside."""

    folder: Path
    first: dict[Stage, float] = field(default_factory=dict)
    last: dict[Stage, float] = field(default_factory=dict)

    def look(self) -> list[Stage]:
        """The stages at work now."""
        now, seen = time.monotonic(), running(self.folder)
        for stage in seen:
            self.first.setdefault(stage, now)
            self.last[stage] = now
        return seen

    def seconds(self) -> dict[str, float]:
        """By family, the mean over its stages."""
        spans = defaultdict(list)
        for stage, last in self.last.items():
            spans[stage.family].append(last - self.first[stage])
        return {family: fmean(found) for family, found in spans.items()}


def running(folder: Path) -> list[Stage]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [word for word in process.cmdline()[:6] if word.startswith(STAGES)]
            if words and Path(process.cwd()) == folder and process.status() != psutil.STATUS_ZOMBIE:
                found.append(Stage(process.pid, words[0].removeprefix(STAGES)))
    return found


def kill_all(project: Project, process: subprocess.Popen[str]) -> int:
    """SIGKILL to the engine's process group and to whatever works in the clone; how many were killed.

    Jobs lead groups of their own, and what one started just before it died is found in the next round.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    killed: set[int] = {process.pid}
    deadline = time.monotonic() + 60
    while there := _at_work(project.folder):
        assert time.monotonic() < deadline, f"processes {there} do not die"
        for pid in there:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed.update(there)
        time.sleep(0.02)
    process.communicate(timeout=LONGEST / 2)
    while there := sorted(filter(psutil.pid_exists, killed)):  # for DVC's lists one not yet collected is alive
        assert time.monotonic() < deadline, f"processes {there} are dead and not collected"
        time.sleep(0.02)
    return len(killed)


def _at_work(folder: Path) -> list[int]:
    """Processes in the clone, or below it; one that is dead and not yet collected has no folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
