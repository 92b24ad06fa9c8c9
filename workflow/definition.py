"""dvc.yaml as Snakemake needs it: what each stage reads and writes, and which stages DVC calls stale.

DVC decides what is stale and what comes from the cache; Snakemake decides order, parallelism and place. The
two meet in one small flag file per stage: new for a stale stage, older than everything for a clean one. The
inputs of a clean stage are `ancient`, so that times of files, which DVC ignores, never start a job.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dvc.lock import LockError
from dvc.parsing import DataResolver
from dvc.repo import Repo
from ruamel.yaml import YAML
from snakemake.exceptions import WorkflowError
from snakemake.io import ancient, directory, report
from snakemake.ioflags import update

FLAGS = Path(".snakemake/stale")
CAPTIONS = Path("workflow/report")


@dataclass(frozen=True)
class Stage:
    """One node of the DAG: `train@small` is the instance `small` of the family `train`."""

    name: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def family(self) -> str:
        return self.name.partition("@")[0]

    @property
    def key(self) -> str | None:
        return self.name.partition("@")[2] or None

    @property
    def flag(self) -> str:
        return (FLAGS / self.name).as_posix()


@dataclass(frozen=True)
class Definition:
    stages: Mapping[str, Stage]
    patterns: Mapping[str, tuple[str, ...]]  # outs of each family, with {key} for the instance
    shown: frozenset[str]  # the patterns that dvc.yaml declares as plots, and the report
    parents: Mapping[str, frozenset[str]]  # the stages whose outs a stage reads
    stale: frozenset[str]
    threads: int
    workers: int  # processes that tokenise one split

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(self.patterns)

    def name(self, family: str, wildcards: Any) -> str:
        return f"{family}@{wildcards.key}" if hasattr(wildcards, "key") else family

    def inputs(self, family: str) -> Callable[[Any], list[str]]:
        """The stage's flag and what it reads of other stages, a folder expanded into the outs inside it."""

        def of(wildcards: Any) -> list[str]:
            stage = self.stages[self.name(family, wildcards)]
            read = [out for parent in sorted(self.parents[stage.name]) for out in self._read(stage, parent)]
            paths = [stage.flag, *read]
            return paths if stage.name in self.stale else [ancient(path) for path in paths]

        return of

    def _read(self, stage: Stage, parent: str) -> Iterable[str]:
        return (out for out in self.stages[parent].outs if any(_overlap(dep, out) for dep in stage.deps))

    def outputs(self, family: str) -> list[str]:
        """The outs as patterns. `update`: DVC, not Snakemake, decides whether an old one has to go."""
        return [self._flagged(family, pattern) for pattern in self.patterns[family]]

    def _flagged(self, family: str, pattern: str) -> Any:
        if is_folder(pattern):
            return update(directory(pattern))
        if pattern in self.shown:
            labels = {"file": PurePosixPath(pattern).name}
            if "{key}" in pattern:
                labels["instance"] = "{key}"
            caption = (CAPTIONS / f"{family}.rst").as_posix()
            return update(report(pattern, caption=caption, category=family, labels=labels))
        return update(pattern)

    def everything(self) -> list[str]:
        return [out for stage in self.stages.values() for out in stage.outs]


def read(folder: Path = Path(), *, ask: bool = True) -> Definition:
    """Resolves dvc.yaml over params.yaml; with `ask`, takes DVC's status and writes the flag files."""
    repo = Repo(str(folder), _wait_for_lock=True)
    text = YAML(typ="safe", pure=True).load(Path(folder, "dvc.yaml").read_text(encoding="utf-8"))
    params = YAML(typ="safe", pure=True).load(Path(folder, "params.yaml").read_text(encoding="utf-8"))
    stages = {stage.addressing: _stage(stage) for stage in repo.index.stages}
    parents = {stage.name: frozenset(_parents(stage, stages.values())) for stage in stages.values()}
    stale = closure(_status(repo), parents) if ask else frozenset()
    patterns, shown = {}, set()
    for family, entry in text["stages"].items():
        resolved = _template(repo, family, entry)
        patterns[family] = tuple(_paths(resolved, "outs", "metrics", "plots"))
        shown |= {path for path in _paths(resolved, "outs", "plots") if path.endswith((".csv", ".html"))}
    threads = params["runtime"]["threads"]
    workers = params["tokenize"].get("workers") or threads
    definition = Definition(stages, patterns, frozenset(shown), parents, stale, threads, workers)
    if ask:
        _write_flags(definition)
    return definition


def _status(repo: Repo) -> Iterable[str]:
    """The stages that DVC calls changed. Raises WorkflowError, which Snakemake tells in its words, when one runs."""
    try:
        status: Iterable[str] = repo.status()
    except LockError as error:
        said = " ".join(str(error).split())
        raise WorkflowError(f"a stage is at work in this folder; wait for it to end and run again ({said})") from None
    return status


def _stage(stage: Any) -> Stage:
    deps = tuple(dep.def_path for dep in stage.deps if dep.def_path != "params.yaml")
    return Stage(stage.addressing, deps, tuple(out.def_path for out in stage.outs))


def _parents(stage: Stage, stages: Iterable[Stage]) -> Iterable[str]:
    for other in stages:
        if other.name != stage.name and any(_overlap(dep, out) for dep in stage.deps for out in other.outs):
            yield other.name


def _overlap(one: str, other: str) -> bool:
    """Whether the paths are the same or one lies inside the other."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def is_folder(path: str) -> bool:
    """Our outs are folders exactly when their name has no suffix; a missing out cannot be asked."""
    return PurePosixPath(path).suffix == ""


def closure(status: Iterable[str], parents: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The stages that DVC calls changed, and all that lie below them."""
    stale = {name for name in status if name in parents}
    while below := {name for name, above in parents.items() if above & stale} - stale:
        stale |= below
    return frozenset(stale)


def _template(repo: Repo, family: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The family's entry resolved by DVC itself, with `{key}` standing for the instance."""
    if "foreach" in entry:
        made = {section: entry["do"][section] for section in ("outs", "metrics", "plots") if section in entry["do"]}
        over_a_list = "${item}" in str(made)  # of names: DVC calls each `item`; over a mapping it is `key`
        entry = {"foreach": ["{key}"] if over_a_list else {"{key}": {}}, "do": {"cmd": "true", **made}}
    (resolved,) = DataResolver(repo, repo.root_dir, {"stages": {family: entry}}).resolve()["stages"].values()
    return resolved


def _paths(resolved: dict[str, Any], *sections: str) -> list[str]:
    entries = [entry for section in sections for entry in resolved.get(section, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def _write_flags(definition: Definition) -> None:
    """New content as well as a new time for stale stages: Snakemake looks at either."""
    FLAGS.mkdir(parents=True, exist_ok=True)
    for path in FLAGS.iterdir():  # of arms that are gone
        if path.name not in definition.stages:
            path.unlink()
    for stage in definition.stages.values():
        path = Path(stage.flag)
        if stage.name in definition.stale:
            path.write_text(f"{time.time_ns()}\n")
        else:
            path.touch()
            os.utime(path, (1, 1))
