"""An MLflow server instead of the sqlite file: two arms trained at once arrive whole."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from pipeline.project import Project

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

LONGEST_START = 240
ARMS = ("linear", "spindle")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of its own, over an sqlite file of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    place = tmp_path / "server"
    place.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{place}/mlflow.db", "--artifacts-destination", str(place / "files")]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=place, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(f"{uri}/health", process, place / "log")
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its workers too
        process.wait(timeout=30)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + LONGEST_START
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise AssertionError(f"no answer from {address}\n{log.read_text()[-2000:]}")


def test_two_arms_at_once_are_there_whole(server: str, tmp_path: Path) -> None:
    """Every point and artifact of the journals, which are the record, and all under one parent."""
    from mlflow.tracking import MlflowClient

    project = Project.new(tmp_path / "project", "engines")
    switches = ("DIFFUSIONBERT_TRACKING=on", f"MLFLOW_TRACKING_URI={server}")
    models = [f"results/engines/train/{arm}/model" for arm in ARMS]
    project.run("env", *switches, "snakemake", "--cores", "2", *models)
    assert not (project.folder / "mlflow.db").exists()

    there = MlflowClient(server)
    experiment = there.get_experiment_by_name("diffusionbert")
    assert experiment is not None
    found = there.search_runs([experiment.experiment_id])
    (parent,) = [run for run in found if run.data.tags["level"] == "engine"]
    trained = {run.data.tags["arm"]: run for run in found if run.data.tags.get("stage") == "train"}
    assert sorted(trained) == sorted(ARMS)
    for arm, run in trained.items():
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        lines = journal(project, f"train@{arm}")
        expected = Counter(
            (name, line["step"], value)
            for line in lines
            if line["event"] == "metrics"
            for name, value in line["values"].items()
        )
        names = {name for name, _, _ in expected}
        points = [point for name in names for point in there.get_metric_history(run.info.run_id, name)]
        assert Counter((point.key, point.step, point.value) for point in points) == expected
    (counted,) = [run for run in found if run.data.tags.get("stage") == "information"]  # which has a file to show
    artifacts = {line["name"] for line in journal(project, "information@bert") if line["event"] == "artifact"}
    assert artifacts
    assert {file.path for file in there.list_artifacts(counted.info.run_id)} == artifacts
    first, second = sorted(trained.values(), key=lambda run: run.info.start_time)
    assert second.info.start_time < first.info.end_time, "one after the other: nothing was shown"


def journal(project: Project, stage: str) -> list[dict[str, Any]]:
    (path,) = (project.folder / ".tracking/journal").glob(f"*-{stage}-*.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
