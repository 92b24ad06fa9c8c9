"""MLflow, and the only module that imports it: the store, the experiment, parents and runs.

Imported lazily, by what ships a journal: a stage that is not tracked pays nothing for it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from diffusionbert.files import replacing
from diffusionbert.tracking.locks import locked

EXPERIMENT = "diffusionbert"
MAX_VALUE = 500
MAX_PARAMS = 100  # a batch, and so many tags
MAX_METRICS = 1000 - 2 * MAX_PARAMS
MLFLOW_STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}

for _logger in ("mlflow", "alembic"):  # they announce each table that they make
    logging.getLogger(_logger).setLevel(logging.WARNING)

Item = TypeVar("Item")


def target(root: Path) -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or the project's own sqlite file by its absolute path."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve()}/mlflow.db"


@dataclass(frozen=True)
class Store:
    """An experiment of one MLflow store."""

    uri: str
    client: MlflowClient
    experiment: str
    root: Path

    @staticmethod
    def open(root: Path) -> Store:
        """Creates store and experiment where there are none, one process at a time: two at once would crash.

        Raises MlflowException when the store cannot be reached.
        """
        uri = target(root)
        with locked(root / ".tracking/lock"):
            own = root / "mlflow.db"
            if uri == f"sqlite:///{root.resolve()}/mlflow.db" and not own.exists():
                with replacing(own) as aside:  # whole or absent: a half-made database cannot be repaired
                    _experiment(MlflowClient(f"sqlite:///{aside.resolve()}"), (root / "mlruns").resolve().as_uri())
            client = MlflowClient(uri)
            return Store(uri, client, _experiment(client, None), root)

    def parent(self, engine: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """The run of an engine's call, made by whichever of its stages asks first."""
        with locked(self.root / ".tracking/lock"):
            found = self._search(f"tags.engine = '{engine['id']}' and tags.level = 'engine'")
            if found:
                return found[0]
            own = {"engine": engine["id"], "level": "engine", "engine_kind": engine["kind"], **tags}
            name = f"{engine['kind']} {engine['id']}"
            return self.client.create_run(self.experiment, engine["started"], own, name).info.run_id

    def run(self, journal: str, name: str, started: int, tags: Mapping[str, str]) -> str:
        """The run of a journal; one that was made just before a crash is found again."""
        found = self._search(f"tags.journal = '{journal}'")
        if found:
            return found[0]
        return self.client.create_run(self.experiment, started, {"journal": journal, **tags}, name).info.run_id

    def made_by(self, key: str) -> str | None:
        """The newest run that was executed under this key."""
        found = self._search(f"tags.key = '{key}' and tags.status = 'executed'")
        return found[0] if found else None

    def log(
        self,
        run: str,
        *,
        params: Mapping[str, str],
        metrics: Sequence[tuple[str, float, int, int]],
        tags: Mapping[str, str],
    ) -> None:
        """Sends all of it in batches; sending the same again changes nothing.

        `metrics` are (name, value, time, step). A store keeps a point once by name, value, time and step.
        """
        for some in _batches([Param(legal(k), shortened(v)) for k, v in params.items()], MAX_PARAMS):
            self.client.log_batch(run, params=some)
        for some in _batches([RunTag(legal(k), shortened(v)) for k, v in tags.items()], MAX_PARAMS):
            self.client.log_batch(run, tags=some)
        points = [Metric(legal(name), value, when, step) for name, value, when, step in metrics]
        for some in _batches(points, MAX_METRICS):
            self.client.log_batch(run, metrics=some)

    def artifact(self, run: str, path: Path) -> None:
        self.client.log_artifact(run, str(path))

    def end(self, run: str, parent: str | None, status: str, time: int) -> None:
        """Ends a run; its parent ends with the last of them, as failed if any failed."""
        self.client.set_terminated(run, MLFLOW_STATUS[status], time)
        if parent is None:
            return
        with locked(self.root / ".tracking/lock"):
            before = self.client.get_run(parent).info
            failed = status != "finished" or before.status == "FAILED"
            after = ("FAILED" if failed else "FINISHED", max(time, before.end_time or 0))
            if after != (before.status, before.end_time):
                self.client.set_terminated(parent, *after)

    def _search(self, where: str) -> list[str]:
        found = self.client.search_runs([self.experiment], where, max_results=1, order_by=["start_time DESC"])
        return [run.info.run_id for run in found]


def _experiment(client: MlflowClient, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        except MlflowException:  # another machine was first
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    return found.experiment_id


def legal(name: str) -> str:
    """MLflow's alphabet and length for names."""
    return re.sub(r"[^\w\-./: ]", "_", name)[:250]


def shortened(value: str) -> str:
    """At most 500 characters; a longer value ends in its hash, so that different values stay different."""
    if len(value) <= MAX_VALUE:
        return value
    mark = f"... sha256 {hashlib.sha256(value.encode()).hexdigest()[:12]}"
    return value[: MAX_VALUE - len(mark)] + mark


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
