"""`make test-faults`: a finished project to compare with, a seed that is told, and figures for docs/benchmarks.md."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from diffusionbert.files import write_json
from pipeline import warm
from pipeline.project import Project

from .artefacts import Artefacts
from .engines import Watch, start


@dataclass
class Ledger:
    """What the tests saw, for results/bench/faults.json."""

    seed: int
    started: float = field(default_factory=time.monotonic)
    kills: dict[str, Any] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)

    def add(self, what: str, times: int, seen: str) -> None:
        self.faults.append({"what": what, "times": times, "seen": seen})


@dataclass(frozen=True)
class Undisturbed:
    """A project that ran once and was left alone."""

    project: Project
    artefacts: Artefacts
    seconds: dict[str, float]  # by family, of one of its stages


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-seed", type=int, default=None, help="of the moments of the kills; else drawn and told")
    parser.addoption("--faults-json", type=Path, default=None, help="where the figures go when all tests passed")


@pytest.fixture(scope="session")
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    seed = request.config.getoption("--faults-seed", default=None)
    place = request.config.getoption("--faults-json", default=None)
    told = Ledger(secrets.randbelow(10**6) if seed is None else seed)
    failed = request.session.testsfailed
    yield told
    if place is not None and request.session.testsfailed == failed:
        seconds = round(time.monotonic() - told.started)
        machine = {"cores": os.cpu_count(), "load_per_core": round(os.getloadavg()[2] / (os.cpu_count() or 1), 2)}
        result = {"seed": told.seed, "seconds": seconds, "machine": machine, "kills": told.kills}
        write_json(place, result | {"faults": told.faults})


@pytest.fixture(scope="session")
def starter() -> Iterator[Path]:
    with warm.started() as folder:
        yield folder


@pytest.fixture(scope="session")
def undisturbed(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """By DVC, one stage after the other, so that the seconds of a stage are its own."""
    project = new_project(tmp_path_factory.mktemp("undisturbed") / "clone", starter)
    watch = Watch(project.folder)
    process = start(project, "dvc")
    while process.poll() is None:
        watch.look()
        time.sleep(0.05)
    words = process.communicate()[0]
    assert process.returncode == 0, words
    return Undisturbed(project, Artefacts.of(project), watch.seconds())


@pytest.fixture
def clone(starter: Path, tmp_path: Path) -> Project:
    """A project with nothing run yet."""
    return new_project(tmp_path / "clone", starter)


@pytest.fixture
def finished(undisturbed: Undisturbed, starter: Path, tmp_path: Path) -> Project:
    """A finished project to do harm to."""
    return undisturbed.project.copy(tmp_path / "clone", starter)


def new_project(folder: Path, starter: Path) -> Project:
    """Committed, so that `git status` tells what a run changed."""
    project = replace(Project.new(folder, "engines"), first_in_path=starter)
    project.run("git", "add", "--all")
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    project.run("git", *author, "commit", "--quiet", "--message", "Start")
    return project
