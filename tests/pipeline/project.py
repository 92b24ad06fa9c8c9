"""A copy of the project with a git and a DVC cache of its own, and a log of what really executed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from workflow import profiles
from workflow.golden import copy_project

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
Result = TypeVar("Result")
LONGEST = 560  # seconds that a command may take, on a machine that is busy with other things


@dataclass(frozen=True)
class Project:
    folder: Path
    first_in_path: Path | None = None  # where `python` starts stages in another way: see warm.py

    @classmethod
    def new(cls, folder: Path, profile: str) -> Project:
        """The files of this work tree as git would take them, under a profile; nothing run yet."""
        copy_project(ROOT, folder)
        project = cls(folder)
        project.run("git", "init", "--quiet")
        project.use(profile)
        return project

    def copy(self, folder: Path, first_in_path: Path | None = None) -> Project:
        """The same, finished as far as it is: times of files and DVC's cache included."""
        subprocess.run(["cp", "-a", self.folder, folder], check=True)
        copied = Project(folder, first_in_path)
        copied.log.unlink(missing_ok=True)
        return copied

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PATH": os.pathsep.join(str(place) for place in (self.first_in_path, BIN, os.environ["PATH"]) if place),
            "PYTHONPATH": str(self.folder / "src"),
            "DIFFUSIONBERT_EXECUTION_LOG": str(self.log),
            "DIFFUSIONBERT_TRACKING": "off",
            "DVC_SITE_CACHE_DIR": str(self.folder.parent / f"{self.folder.name}.site"),
            "XDG_CACHE_HOME": str(self.folder.parent / f"{self.folder.name}.xdg"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *words: str, modules: Path | None = None) -> subprocess.Popen[str]:
        """A command as the leader of a process group of its own; it finds Python modules in `modules` too."""
        environment = self.environment
        if modules is not None:
            environment["PYTHONPATH"] += f"{os.pathsep}{modules}"
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, status: int | None = 0) -> str:
        """A command's words; fails with them when its exit status is another."""
        process = self.start(*words)
        output, _ = process.communicate(timeout=LONGEST)
        told = f"{' '.join(words)}: {process.returncode}\n{output}"
        assert status is None or process.returncode == status, told
        return output

    def dvc(self, *targets: str, status: int | None = 0) -> str:
        return self.run("dvc", "repro", *targets, status=status)

    def snakemake(self, *targets: str, cores: int = 2, status: int | None = 0) -> str:
        return self.run("snakemake", "--cores", str(cores), *targets, status=status)

    def executed(self) -> Counter[str]:
        """What ran since this was last asked; the log is emptied."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return Counter(lines)

    def use(self, profile: str) -> None:
        profiles.write(self.folder, profiles.merged(self.folder, profile)[0])

    def edit(self, profile: str, change: Callable[[Any], None]) -> None:
        """Changes a profile's overlay, and params.yaml with it."""
        path = self.folder / "profiles" / f"{profile}.yaml"
        yaml = YAML(typ="rt")
        data = yaml.load(path.read_text(encoding="utf-8"))
        change(data)
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(data, file)
        self.use(profile)

    def outputs(self) -> dict[str, bytes]:
        """Every result except the timings."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted((self.folder / "results").rglob("*"))
            if path.is_file() and "timing" not in str(path) and path.name != ".snakemake_timestamp"
        }


# Python reads a module of this name when it starts. The training waits at its first checkpoint, however fast it is.
HOLD = """\
import os, time
replace, whole = os.replace, 0
def held(source, target):
    global whole
    replace(source, target)
    whole += os.path.basename(target).startswith("step-")
    if whole == {checkpoints}:
        time.sleep(600)
os.replace = held
"""


def kill_training(project: Project, *words: str, whole_group: bool, checkpoints: int = 1) -> None:
    """Starts the engine; SIGKILL, as soon as there are whole checkpoints, to the training job or to everything."""
    hold = project.folder.with_suffix(".hold")
    hold.mkdir()
    (hold / "sitecustomize.py").write_text(HOLD.format(checkpoints=checkpoints), encoding="utf-8")
    process = project.start(*words, modules=hold)
    deadline = time.monotonic() + LONGEST / 2
    while len(list((project.folder / ".checkpoints").glob("*/step-*.pt"))) < checkpoints:
        assert process.poll() is None, f"ended before there was a checkpoint:\n{process.communicate()[0]}"
        assert time.monotonic() < deadline, "no checkpoint yet"
        time.sleep(0.05)
    killed = [
        pid for pid, command in _in(project.folder).items() if whole_group or "-m diffusionbert.stages.train" in command
    ]
    assert killed, "the training job was gone before it could be killed"
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)  # and then the jobs, which may lead groups of their own
    for pid in killed:
        with suppress(ProcessLookupError):  # it ended with the group, or with its parent
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=LONGEST / 2)
    assert process.returncode != 0


def _in(folder: Path) -> dict[int, str]:
    """The Python processes that work in this folder, with their command lines."""
    import psutil

    found = {}
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder and "python" in Path(process.exe()).name:
                found[process.pid] = " ".join(process.cmdline())
        except psutil.Error:
            continue
    return found


def together(*calls: Callable[[], Result]) -> list[Result]:
    """Runs the calls side by side: the machine has two cores, and one engine seldom fills both."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
