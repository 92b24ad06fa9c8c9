from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffusionbert import tracking
from diffusionbert.tracking import __main__ as command
from diffusionbert.tracking import engine, mirror
from diffusionbert.tracking.journal import JOURNALS
from diffusionbert.tracking.store import Store, legal, shortened

from .runs import DEAD, all_runs, client, points


def train(root: Path, steps: int = 30) -> Path:
    """A stage with a result; returns the file of it."""
    out = root / "out.json"
    with tracking.run("train", "a", {"train": {"steps": steps}, "text": "x" * 700}) as told:
        for step in range(steps):
            told.metrics({"loss_nats": 1 / (step + 1)}, step=step)
        out.write_text(json.dumps({"loss": 1 / steps}))
        told.artifact(out)
    return out


def journal_of(root: Path) -> Path:
    (path,) = (root / JOURNALS).glob("*.jsonl")
    return path


def test_everything_arrives(project: Path) -> None:
    train(project)
    (run,) = all_runs(project)
    assert run.info.run_name == "train@a"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.steps": "30", "text": shortened("x" * 700)}
    tags = run.data.tags
    assert {name: tags[name] for name in ("stage", "arm", "profile", "status", "engine")} == {
        "stage": "train",
        "arm": "a",
        "profile": "tiny",
        "status": "executed",
        "engine": "none",
    }
    assert points(project, run, "loss_nats") == [(step, 1 / (step + 1)) for step in range(30)]
    assert [file.path for file in client(project).list_artifacts(run.info.run_id)] == ["out.json"]


def test_not_finite_values_arrive(project: Path) -> None:
    with tracking.run("train", "a", {}) as told:
        told.metrics({"loss_nats": float("nan")}, step=1)
    ((_, value),) = points(project, all_runs(project)[0], "loss_nats")
    assert math.isnan(value)


def test_replay_sends_no_point_twice(project: Path) -> None:
    """Not from the noted offset, and not even when the note of it is lost."""
    train(project)
    assert command.main(["replay"]) == 0
    journal_of(project).with_suffix(".sent.json").unlink()
    assert command.main(["replay"]) == 0
    (run,) = all_runs(project)
    assert points(project, run, "loss_nats") == [(step, 1 / (step + 1)) for step in range(30)]


def test_half_a_line_waits_for_its_end(project: Path) -> None:
    train(project, steps=2)
    path = journal_of(project)
    whole = path.read_bytes()
    path.with_suffix(".sent.json").unlink()
    cut = whole.index(b"0.5") + 2
    path.write_bytes(whole[:cut])
    store = Store.open(project)
    assert mirror.send(store, path) == 2
    path.write_bytes(whole)
    assert mirror.send(store, path) == 3
    assert mirror.send(store, path) == 0
    assert points(project, all_runs(project)[0], "loss_nats") == [(0, 1.0), (1, 0.5)]


def test_dead_server_costs_one_warning_and_little_time(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alive = train(project).read_bytes()
    (seen,) = all_runs(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    start = time.monotonic()
    assert train(project).read_bytes() == alive
    assert time.monotonic() - start < 5
    warned = capsys.readouterr().err.splitlines()
    assert len(warned) == 1
    assert f"warning: tracking: {DEAD}: cannot be reached" in warned[0]
    assert "make track" in warned[0]

    assert command.main(["replay"]) == 1  # still dead: one line, and nothing lost
    assert len(capsys.readouterr().err.splitlines()) == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert command.main(["replay"]) == 0
    first, second = all_runs(project)
    assert second.data.params == first.data.params
    assert second.data.metrics == first.data.metrics
    assert points(project, second, "loss_nats") == points(project, seen, "loss_nats")


def test_no_mlflow_costs_one_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "diffusionbert.tracking.store", None)
    train(project, steps=3)
    (warned,) = capsys.readouterr().err.splitlines()
    assert "mlflow is not installed" in warned
    monkeypatch.undo()
    assert len(journal_of(project).read_text().splitlines()) == 6


def test_server_killed_midway(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was sent stays, what was not is sent later, each point once and in order."""
    monkeypatch.setattr(mirror, "SECONDS_BETWEEN", 0.0)
    log = Store.log

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("the server is gone")

    with tracking.run("train", "a", {}) as told:
        for step in range(5):
            told.metrics({"loss_nats": float(step)}, step=step)
        monkeypatch.setattr(Store, "log", refuse)
        for step in range(5, 10):
            told.metrics({"loss_nats": float(step)}, step=step)
    assert len(capsys.readouterr().err.splitlines()) == 1
    (run,) = all_runs(project)
    assert run.info.status == "RUNNING"
    assert len(points(project, run, "loss_nats")) == 5
    monkeypatch.setattr(Store, "log", log)
    assert command.main(["replay"]) == 0
    (run,) = all_runs(project)
    assert run.info.status == "FINISHED"
    assert points(project, run, "loss_nats") == [(step, float(step)) for step in range(10)]


def test_unfinished_run_starts_anew_in_another_store(
    project: Path, tmp_path_factory: pytest.TempPathFactory, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(project, steps=3)
    path = journal_of(project)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))  # as if still running
    path.with_suffix(".sent.json").unlink()
    mirror.send(Store.open(project), path)
    other = tmp_path_factory.mktemp("other")
    (other / "mlflow.db").write_bytes(built.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}/mlflow.db")
    assert command.main(["replay"]) == 0
    (run,) = all_runs(other)
    assert len(points(other, run, "loss_nats")) == 2


def test_stages_of_one_engine_share_a_parent(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [engine.Engine("11-1", "snakemake", 1000), engine.Engine("12-1", "dvc", 2000)]
    for under, stage in ((calls[0], "corpus"), (calls[0], "tokenize"), (calls[1], "corpus")):
        monkeypatch.setattr(engine, "find", lambda under=under: under)
        with tracking.run(stage, None, {}):
            pass
    parents = all_runs(project, level="engine")
    assert [run.data.tags["engine"] for run in parents] == ["11-1", "12-1"]
    assert [run.info.status for run in parents] == ["FINISHED", "FINISHED"]
    under_first = [
        run.data.tags["stage"]
        for run in all_runs(project)
        if run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
    ]
    assert under_first == ["corpus", "tokenize"]


def test_failed_stage_fails_its_parent(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find", lambda: engine.Engine("11-1", "dvc", 1000))
    with pytest.raises(ValueError, match="no"), tracking.run("corpus", None, {}):
        raise ValueError("no")
    with tracking.run("spindle", None, {}):
        pass
    assert [run.info.status for run in all_runs(project)] == ["FAILED", "FINISHED"]
    assert all_runs(project, level="engine")[0].info.status == "FAILED"


def test_killed_stage_is_ended_by_replay(project: Path) -> None:
    script = (
        "import os, signal\nfrom diffusionbert import tracking\n"
        "with tracking.run('train', 'a', {}) as told:\n    told.metrics({'x': 1.0}, step=1)\n"
        "    told._file.path.open('a').write('{\"event\": \"met')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert command.main(["replay"]) == 0
    (run,) = all_runs(project)
    assert run.info.status == "KILLED"
    assert points(project, run, "x") == [(1, 1.0)]


def test_two_processes_race_on_a_fresh_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They share one experiment and one parent, and neither crashes."""
    monkeypatch.setenv("DIFFUSIONBERT_TRACKING", "on")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    script = (
        "import sys\nfrom diffusionbert import tracking\nfrom diffusionbert.tracking import engine\n"
        "engine.find = lambda: engine.Engine('11-1', 'dvc', 1000)\n"
        "with tracking.run('train', sys.argv[1], {}) as told:\n    told.metrics({'x': 1.0}, step=1)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, arm], cwd=tmp_path, stderr=subprocess.PIPE) for arm in "ab"]
    assert [(process.communicate()[1], process.returncode) for process in both] == [(b"", 0), (b"", 0)]
    assert sorted(run.data.tags["arm"] for run in all_runs(tmp_path)) == ["a", "b"]
    assert len(all_runs(tmp_path, level="engine")) == 1


def test_setup_creates_the_store_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "mlflow.db").read_bytes()
    assert command.main(["setup"]) == 0
    assert capsys.readouterr().out == f"tracking: runs go to sqlite:///{project}/mlflow.db\n"
    assert (project / "mlflow.db").read_bytes() == before


def test_password_is_not_told() -> None:
    assert mirror.without_password("https://me:secret@host/x") == "https://host/x"


def test_long_values_stay_different() -> None:
    one, other = "x" * 600, "x" * 599 + "y"
    assert len(shortened(one)) == 500
    assert shortened(one) != shortened(other)
    assert shortened("x" * 500) == "x" * 500


def test_names_are_made_legal() -> None:
    assert legal("arms.a/loss (nats)") == "arms.a/loss _nats_"
