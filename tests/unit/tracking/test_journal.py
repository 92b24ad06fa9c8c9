from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diffusionbert import tracking
from diffusionbert.tracking import journal
from diffusionbert.tracking.journal import flatten

from .conftest import PARAMS
from .runs import DEAD


def lines(root: Path) -> list[dict[str, Any]]:
    (path,) = (root / ".tracking/journal").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_format(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    out = project / "out"
    with tracking.run("train", "a", {"train": {"steps": 3}}, outputs=[out]) as told:
        told.metrics({"loss_nats": 2.0, "broken": float("nan")}, step=7)
        told.tags({"device": "cpu"})
        out.mkdir()
        (out / "metrics.json").write_text("{}")
        told.artifact(out / "metrics.json")
    start, metrics, tags, artifact, end = lines(project)
    assert start["event"] == "start"
    assert (start["stage"], start["instance"], start["engine"]) == ("train", "a", None)
    assert start["params"] == {"train.steps": "3"}
    assert start["settings"] == PARAMS
    assert (metrics["step"], metrics["values"]) == (7, {"loss_nats": 2.0, "broken": "nan"})
    assert tags["values"] == {"device": "cpu"}
    assert artifact["name"] == "metrics.json"
    assert (end["status"], end["outputs"]) == (
        "finished",
        {"out/metrics.json": "99914b932bd37a50b983c5e7c90ae93b"},
    )
    (copied,) = (project / ".tracking/journal").glob("*/metrics.json")
    assert copied.read_text() == "{}"


def test_large_artifact_is_told_but_not_copied(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    monkeypatch.setattr(journal, "LARGEST_ARTIFACT", 10)
    (project / "plot.svg").write_text("x" * 11)
    with tracking.run("report", None, {}) as told:
        told.artifact(project / "plot.svg")
    assert lines(project)[1]["values"] == {"not_copied.plot.svg": "11 bytes"}


def test_failure_is_told_and_raised(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    with pytest.raises(ValueError, match="loss is nan"), tracking.run("train", "a", {}):
        raise ValueError("step 3: loss is nan")
    assert lines(project)[-1]["status"] == "failed"
    assert lines(project)[-1]["error"] == "step 3: loss is nan"


def test_off_writes_and_imports_nothing(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = (
        "import sys\nfrom diffusionbert import tracking\n"
        "with tracking.run('train', 'a', {}) as told:\n    told.metrics({'x': 1.0})\n"
        "assert 'mlflow' not in sys.modules and 'dvc' not in sys.modules\n"
    )
    environment = {**os.environ, "DIFFUSIONBERT_TRACKING": "off", "MLFLOW_TRACKING_URI": DEAD}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    assert capfd.readouterr() == ("", "")
    assert not (project / ".tracking").exists()


def test_switch_is_on_or_off(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONBERT_TRACKING", "false")
    with pytest.raises(ValueError, match="DIFFUSIONBERT_TRACKING: found 'false'; expected on or off"):
        tracking.run("train", "a", {}).__enter__()


def test_unwritable_journal_costs_one_warning(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".tracking").write_text("a file where the folder should be")
    with tracking.run("train", "a", {}) as told:
        told.metrics({"loss_nats": 1.0})
        told.artifact(project / "params.yaml")
    warned = capsys.readouterr().err.splitlines()
    assert len(warned) == 1
    assert warned[0].startswith("warning: tracking: ")


def test_journal_that_never_was_given_a_file_is_silent() -> None:
    tracking.Journal().metrics({"x": 1.0}, step=1)


def test_flatten() -> None:
    values = {"a": {"b": 1, "c": {"d": None}}, "orders": [0.0, 0.3], "empty": {}, "name": "x", "flag": True}
    assert dict(flatten(values)) == {
        "a.b": "1",
        "a.c.d": "null",
        "orders": "[0.0, 0.3]",
        "empty": "{}",
        "name": "x",
        "flag": "true",
    }
