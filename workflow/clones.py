"""A copy of the project with a git, a DVC cache and a log of its own, for what `make test-slurm` and others try out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workflow import profiles
from workflow.golden import copy_project

BINARIES = Path(sys.executable).parent
AUTHOR = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")


@dataclass(frozen=True)
class Clone:
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)  # over the caller's
    first_in_path: tuple[Path, ...] = ()

    def prepare(self, root: Path, profile: str) -> None:
        """The files of a work tree as git would take them, under a profile, committed; nothing run yet."""
        copy_project(root, self.folder)
        self.call("git", "init", "--quiet")
        profiles.write(self.folder, profiles.merged(self.folder, profile)[0])
        self.commit("the project")

    def commit(self, message: str) -> None:
        self.call("git", "add", "--all")
        self.call("git", *AUTHOR, "commit", "--quiet", "--message", message)

    def clone(self, folder: Path) -> Clone:
        """What `git clone` makes of it: what git holds, and nothing of DVC's cache."""
        self.call("git", "clone", "--quiet", str(self.folder), str(folder))
        return Clone(folder, self.environment, self.first_in_path)

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def call(self, *words: str) -> str:
        """A command's words. Raises ValueError with them when it fails."""
        path = [*map(str, (*self.first_in_path, BINARIES)), os.environ["PATH"]]
        environment = {
            **os.environ,
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": os.pathsep.join([str(self.folder / "src"), *self._inherited()]),
            "DIFFUSIONBERT_EXECUTION_LOG": str(self.log),
            "DIFFUSIONBERT_TRACKING": "off",
            "DVC_SITE_CACHE_DIR": str(self.folder.with_suffix(".site")),
            "XDG_CACHE_HOME": str(self.folder.with_suffix(".xdg")),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }
        done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ValueError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def _inherited(self) -> list[str]:
        """Where the caller finds modules, apart from the project's own."""
        own = {str(Path.cwd()), str(Path.cwd() / "src")}
        return [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place and place not in own]

    def executed(self) -> list[str]:
        """The stages that ran since this was last asked, sorted; the log is emptied."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return sorted(lines)
