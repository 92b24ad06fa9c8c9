"""SIGKILL to engine, stages and workers at random moments of successive reruns: is the end the same as undisturbed?

Each family of stages is the aim of one kill at least: it comes at a random moment after a stage of the family has
begun. The other kills come at a random moment after the engine was started, whatever it is doing. When all is done and
kills are left, the clone is emptied and the next round begins. The engines take turns.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from workflow import leftovers

from pipeline.project import LONGEST, Project

from .artefacts import Artefacts
from .conftest import Ledger, Undisturbed
from .engines import COMMANDS, kill_all, running, start

pytestmark = [pytest.mark.faults, pytest.mark.timeout(2400)]

FAMILIES = (  # in the order in which the DAG comes to them
    *("corpus", "tokenize", "information", "spindle", "audit", "train", "evaluate", "sample", "frontier"),
    *("pairs", "generative", "speed", "metrics", "report"),
)
KILLS = 20
ANYWHERE = "anywhere"
OURS = ("removed ", "dvc.lock: a killed DVC")  # how the lines of workflow.leftovers begin
HALF, UNREADABLE = "half a dvc.lock", "an unreadable list of busy files"
MADE = ("results", "dvc.lock", ".dvc/cache", ".dvc/tmp", ".snakemake", ".checkpoints", "logs", ".cache")


@dataclass(frozen=True)
class Kill:
    """One rerun that was killed."""

    engine: str
    aim: str
    seconds: float  # from the start of the engine
    hit: list[str]  # the families that were at work
    processes: int
    executed: int  # stages that this rerun began
    aside: int  # half-written files and folders that it left
    locks: str  # what it left of the engines' own


@dataclass
class Story:
    """What happened, rerun by rerun."""

    kills: list[Kill] = field(default_factory=list)
    rounds: int = 0  # times that all was done
    executed: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)  # what `make run` said that it removed or mended
    differences: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def hits(self) -> Counter[str]:
        return Counter(family for kill in self.kills for family in kill.hit)


def plan(rng: random.Random) -> list[str]:
    """The families in the order of the DAG, and between them kills that aim at nothing."""
    aims = list(FAMILIES)
    for _ in range(KILLS - len(FAMILIES)):
        aims.insert(rng.randint(0, len(aims)), ANYWHERE)
    return aims


def test_kills_at_random_moments_lose_nothing(clone: Project, undisturbed: Undisturbed, ledger: Ledger) -> None:
    print(f"seed {ledger.seed}", flush=True)
    rng, story = random.Random(ledger.seed), Story()
    aims = plan(rng)
    while aims:
        assert len(story.kills) < 3 * KILLS, f"{aims} were never hit"
        engine, aim = list(COMMANDS)[len(story.kills) % 2], aims.pop(0)
        kill = killed_once(clone, engine, aim, moment(rng, aim, undisturbed.seconds), story)
        if kill is None:  # the engine came to its end before the moment did
            completed(clone, undisturbed.artefacts, story)
            empty(clone.folder)
            aims.insert(0, aim)
        elif aim != ANYWHERE and aim not in kill.hit:
            story.missed.append(aim)
            aims.append(aim)
    run(clone, "snakemake", story)
    completed(clone, undisturbed.artefacts, story)
    for engine in COMMANDS:
        run(clone, engine, Story())
        assert not clone.executed(), "all was done, and something executed"
    changed = clone.run("git", "status", "--porcelain").split()
    aside = [path for path in clone.folder.rglob("*") if path.name.endswith(".part")]
    new = strange(clone.folder, undisturbed.project.folder)
    tell(story, ledger, new)
    assert story.differences == []
    assert changed == ["??", "dvc.lock"]
    assert aside == []
    assert set(story.hits()) == set(FAMILIES)
    assert len(story.kills) >= KILLS


def moment(rng: random.Random, aim: str, seconds: dict[str, float]) -> float:
    """Seconds to wait: after a stage of the family was seen, or after the engine was started."""
    return rng.uniform(0, 15) if aim == ANYWHERE else rng.uniform(0, 0.9 * seconds.get(aim, 0.5))


def killed_once(project: Project, engine: str, aim: str, wait: float, story: Story) -> Kill | None:
    """Starts the engine and kills it at the moment; None when it ended by itself, which it must do well."""
    make_readable(project, engine, story)
    process, begun = start(project, engine), time.monotonic()
    due = begun + wait if aim == ANYWHERE else None
    while process.poll() is None and (due is None or time.monotonic() < due):
        if due is None and any(stage.family == aim for stage in running(project.folder)):
            due = time.monotonic() + wait
        time.sleep(0.05)
        assert time.monotonic() - begun < LONGEST, f"{engine}: {aim} was never at work"
    if process.poll() is not None:
        ended(process, engine, story)
        story.executed += project.executed()
        return None
    hit = sorted({stage.family for stage in running(project.folder)})
    seconds = time.monotonic() - begun
    processes = kill_all(project, process)
    executed = project.executed()
    story.executed += executed
    aside = sum(1 for path in project.folder.rglob(".*.part"))
    begun_stages, locks = sum(executed.values()), left_locks(project.folder)
    kill = Kill(engine, aim, round(seconds, 2), hit, processes, begun_stages, aside, locks)
    print(f"kill {len(story.kills) + 1}: {kill}", flush=True)
    story.kills.append(kill)
    return kill


def left_locks(folder: Path) -> str:
    found = []
    if any((folder / leftovers.SNAKEMAKE).glob("*")):
        found.append("Snakemake's lock")
    lock = folder / leftovers.DVC_LOCK
    if lock.exists() and not leftovers.is_whole(lock.read_text(encoding="utf-8", errors="replace")):
        found.append(HALF)
    try:
        json.loads((folder / leftovers.BUSY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass
    except ValueError:
        found.append(UNREADABLE)
    return ", ".join(found)


def make_readable(project: Project, engine: str, story: Story) -> None:
    """What docs/faults.md tells a user of bare `dvc repro` to do, where a kill has cut a file of DVC's short."""
    if engine == "dvc" and {HALF, UNREADABLE}.intersection(left_locks(project.folder).split(", ")):
        story.told += project.run("python", "-m", "workflow.leftovers").splitlines()


def ended(process: subprocess.Popen[str], engine: str, story: Story) -> None:
    words = process.communicate(timeout=LONGEST)[0]
    assert process.returncode == 0, f"{engine}: {process.returncode}\n{words}"
    story.told += [line for line in words.splitlines() if line.startswith(OURS)]


def run(project: Project, engine: str, story: Story) -> None:
    make_readable(project, engine, story)
    ended(start(project, engine), engine, story)


def completed(project: Project, expected: Artefacts, story: Story) -> None:
    story.rounds += 1
    story.executed += project.executed()
    story.differences += expected.differences(Artefacts.of(project))


def empty(folder: Path) -> None:
    for name in MADE:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def strange(folder: Path, undisturbed: Path) -> list[str]:
    """Files that the undisturbed clone has not, apart from logs and what bears a name made anew each time."""
    ours, theirs = (
        {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()} for top in (folder, undisturbed)
    )
    made = (".git/", ".snakemake/", ".dvc/cache/", ".cache/", "logs/", "results/")
    return sorted(name for name in ours - theirs if not name.startswith(made) and "__pycache__" not in name)


def tell(story: Story, ledger: Ledger, new: list[str]) -> None:
    hits = {family: dict.fromkeys(COMMANDS, 0) for family in FAMILIES}
    for kill in story.kills:
        for family in kill.hit:
            hits[family][kill.engine] += 1
    print("family       " + " ".join(f"{engine:>10}" for engine in COMMANDS))
    for family, by in hits.items():
        print(f"{family:<12} " + " ".join(f"{by[engine]:>10}" for engine in COMMANDS))
    undone: dict[str, Any] = {
        "kills": len(story.kills),
        "rounds": story.rounds,
        "between_stages": sum(1 for kill in story.kills if not kill.hit),
        "hits": hits,
        "stages_begun": sum(story.executed.values()),
        "left_aside": sum(kill.aside for kill in story.kills),
        "left_locks": dict(Counter(lock for kill in story.kills for lock in kill.locks.split(", ") if lock)),
        "told": dict(Counter("removed" if line.startswith("removed") else "mended" for line in story.told)),
        "strange_files": new,
        "differences": len(story.differences),
        "each": [asdict(kill) for kill in story.kills],
    }
    ledger.kills = undone
    print(undone, flush=True)
