"""What the tests ask of a store, through MLflow's own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

DEAD = "http://127.0.0.1:9"  # a port on which nobody listens


def client(root: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{root}/mlflow.db")


def all_runs(root: Path, level: str | None = "stage") -> list[Any]:
    """Oldest first."""
    there = client(root)
    experiment = there.get_experiment_by_name("diffusionbert")
    assert experiment is not None
    where = "" if level is None else f"tags.level = '{level}'"
    return list(there.search_runs([experiment.experiment_id], where, order_by=["start_time ASC"]))


def points(root: Path, run: Any, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client(root).get_metric_history(run.info.run_id, name)]
