"""The MLflow server killed, or hung, in the middle of a training: does that go on, and is nothing lost or twice?"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from diffusionbert.tracking import TIMEOUT
from diffusionbert.tracking.journal import JOURNALS
from pipeline.project import LONGEST, Project

from .conftest import Ledger
from .test_full_disk import command_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

MODEL = "results/engines/train/linear/model/model.safetensors"


def long_training(data: Any) -> None:
    """Long enough for the mirror, which sends every ten seconds, to be at it when the server goes."""
    data["train"] |= {"steps": 1500, "log_every": 10, "valid_every": 1500, "checkpoint_every": 1500}


@dataclass(frozen=True)
class Server:
    folder: Path
    port: int

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """Answers when this yields; whatever is left of it is killed at the end."""
        self.folder.mkdir(exist_ok=True)
        place = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        place += ["--artifacts-destination", str(self.folder / "artifacts")]
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--workers", "1", *place],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait(process)
            yield process
        finally:
            kill(process, signal.SIGKILL)
            process.wait()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + LONGEST / 2
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                said = (self.folder / "server.log").read_text(errors="replace")
                assert process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.2)


def kill(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_training_goes_on_and_everything_arrives_once(
    finished: Project, tmp_path: Path, ledger: Ledger, how: signal.Signals
) -> None:
    finished.edit("engines", long_training)
    command = [sys.executable, *command_of(finished, "train@linear")[1:]]
    subprocess.run(command, cwd=finished.folder, env=finished.environment, check=True, capture_output=True)
    weights = (finished.folder / MODEL).read_bytes()
    server = Server(tmp_path / "server", free_port())
    environment = finished.environment | {"DIFFUSIONBERT_TRACKING": "on", "MLFLOW_TRACKING_URI": server.uri}
    with server.started() as process:
        training = subprocess.Popen(
            command, cwd=finished.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        sent_before = until_sent(finished, training)
        kill(process, how)
        gone = time.monotonic()
        said = training.communicate(timeout=LONGEST)[1]
        seconds = time.monotonic() - gone
    assert training.returncode == 0, said
    assert (finished.folder / MODEL).read_bytes() == weights
    warned = [line for line in said.splitlines() if line.startswith("warning: tracking")]
    assert len(warned) == 1, said
    assert "make track" in warned[0]
    with server.started():
        replay = [sys.executable, "-m", "diffusionbert.tracking", "replay"]
        for _ in range(2):
            done = subprocess.run(
                replay, cwd=finished.folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        lost, twice, number = compared(finished, server)
    assert (lost, twice) == (0, 0)
    assert number > 100
    word = "killed" if how == signal.SIGKILL else "hung"
    seen = f"{sent_before} bytes of the journal sent before, training ended {seconds:.0f} s after, same weights"
    ledger.add(f"MLflow server {word} in training", 1, f"{seen}; {number} points after replay, 0 lost, 0 twice")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def journal_of(project: Project) -> Path:
    (path,) = (project.folder / JOURNALS).glob("*.jsonl")
    return path


def until_sent(project: Project, training: subprocess.Popen[str]) -> int:
    """Waits until metrics have arrived and training goes on; returns how much of the journal was sent by then."""
    deadline = time.monotonic() + LONGEST / 2
    first = None
    while time.monotonic() < deadline:
        assert training.poll() is None, "training ended before the server was killed"
        for path in (project.folder / JOURNALS).glob("*.sent.json"):
            with suppress(ValueError):
                offset = int(json.loads(path.read_text())["offset"])
                first = offset if first is None else first
                if offset > first:
                    return offset
        time.sleep(0.05)
    raise AssertionError("nothing arrived")


def compared(project: Project, server: Server) -> tuple[int, int, int]:
    """(points lost, points twice, points) of the store against the journal; the run is one, and has ended."""
    from mlflow.tracking import MlflowClient

    lines = [json.loads(line) for line in journal_of(project).read_text(encoding="utf-8").splitlines()]
    told = [
        (name, line["step"], line["time"], float(value))
        for line in lines
        if line["event"] == "metrics"
        for name, value in line["values"].items()
    ]
    os.environ[TIMEOUT] = "60"  # this process is none of the stages, and a busy server may take its time
    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("diffusionbert")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.level = 'stage'")
    assert run.info.status == "FINISHED"
    stored = [
        (name, point.step, point.timestamp, point.value)
        for name in {name for name, *_ in told}
        for point in client.get_metric_history(run.info.run_id, name)
    ]
    return len(set(told) - set(stored)), len(stored) - len(set(stored)), len(stored)
