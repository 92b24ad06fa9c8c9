from __future__ import annotations

import json
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from diffusionbert import tracking
from diffusionbert.tracking import __main__ as command
from diffusionbert.tracking import engine, lockfile, record

from .runs import DEAD, all_runs


def execute(root: Path, stage: str, instance: str | None, content: str, call: str = "11-1") -> None:
    """A stage under an engine that has ended, leaving one output."""
    out = root / "results" / stage / f"{instance}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(engine, "find", lambda: engine.Engine(call, "dvc", 1000))
        with tracking.run(stage, instance, {}, outputs=[out]):
            out.write_text(content)


def lock(root: Path, **outputs: tuple[str, dict[str, Any]]) -> None:
    """dvc.lock, as if each of the stages had left this content under these params."""
    stages = {}
    for name, (content, params) in outputs.items():
        stage, _, instance = name.partition("__")
        path = f"results/{stage}/{instance or None}.json"
        stages[f"{stage}@{instance}" if instance else stage] = {
            "cmd": f"python {stage} {instance}",
            "deps": [{"path": "src", "hash": "md5", "md5": "0" * 32, "size": 1}],
            "params": {"params.yaml": params},
            "outs": [{"path": path, "hash": "md5", "md5": md5(content.encode()).hexdigest(), "size": 1}],
        }
    with (root / "dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": stages}, file)


@pytest.fixture
def all_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC calls every stage of dvc.lock up to date."""
    monkeypatch.setattr(record, "fresh", lambda root: sorted(lockfile.entries(root)))


def by_stage(root: Path, **tags: str) -> dict[str, Any]:
    return {
        run.info.run_name: run
        for run in all_runs(root)
        if all(run.data.tags.get(name) == value for name, value in tags.items())
    }


@pytest.mark.usefixtures("all_fresh")
def test_keys_and_cached_stages(project: Path) -> None:
    execute(project, "corpus", None, "text")
    execute(project, "train", "a", "weights")
    params = {"train": {"steps": 10, "learning_rate": 0.001}}
    lock(project, corpus=("text", {}), train__a=("weights", params))
    assert command.main(["record"]) == 0
    first = by_stage(project, status="executed", engine="11-1")
    keys = {stage: lockfile.key(entry) for stage, entry in lockfile.entries(project).items()}
    assert {name: run.data.tags["key"] for name, run in first.items()} == keys
    assert by_stage(project, status="cached") == {}

    execute(project, "train", "a", "other weights", call="12-1")
    lock(project, corpus=("text", {}), train__a=("other weights", {**params, "arms.a.seed": 0}))
    assert command.main(["record"]) == 0
    cached = by_stage(project, status="cached")
    assert list(cached) == ["corpus"]
    tags = cached["corpus"].data.tags
    assert tags["origin_run"] == first["corpus"].info.run_id
    assert (tags["key"], tags["engine"]) == (keys["corpus"], "12-1")
    again = by_stage(project, status="executed", engine="12-1")["train@a"]
    assert again.data.tags["key"] not in keys.values()
    assert again.data.tags["mlflow.parentRunId"] == tags["mlflow.parentRunId"]


@pytest.mark.usefixtures("all_fresh")
def test_recording_twice_adds_nothing(project: Path) -> None:
    execute(project, "train", "a", "weights")
    lock(project, corpus=("text", {}), train__a=("weights", {}))
    assert command.main(["record"]) == 0
    before = sorted((path.name, path.read_bytes()) for path in (project / ".tracking/journal").glob("*.json*"))
    assert len(all_runs(project)) == 2
    assert command.main(["record"]) == 0
    assert len(all_runs(project)) == 2
    assert before == sorted((path.name, path.read_bytes()) for path in (project / ".tracking/journal").glob("*.json*"))


@pytest.mark.usefixtures("all_fresh")
def test_unknown_origin(project: Path) -> None:
    """As in a fresh clone whose results were pulled."""
    lock(project, corpus=("text", {}))
    assert command.main(["record"]) == 0
    assert by_stage(project)["corpus"].data.tags["origin_run"] == "unknown"
    assert command.main(["record"]) == 0
    assert len(all_runs(project)) == 1


@pytest.mark.usefixtures("all_fresh")
@pytest.mark.parametrize(
    ("content", "params"),
    [("weights of another run", {}), ("weights", {"arms.a.seed": 5}), ("weights", {"arms.a.unheard_of": 0})],
)
def test_overwritten_entry_gives_no_key(project: Path, content: str, params: dict[str, Any]) -> None:
    execute(project, "train", "a", "weights")
    lock(project, train__a=(content, params))
    assert command.main(["record"]) == 0
    assert "key" not in by_stage(project, status="executed")["train@a"].data.tags
    cached = by_stage(project, status="cached")["train@a"].data.tags
    assert (cached["origin_run"], cached["engine"][:6]) == ("unknown", "cache-")


@pytest.mark.usefixtures("all_fresh")
def test_key_is_given_late_when_the_entry_comes_back(project: Path) -> None:
    execute(project, "train", "a", "weights", call="11-1")
    execute(project, "train", "a", "other", call="12-1")
    lock(project, train__a=("other", {}))
    assert command.main(["record"]) == 0
    lock(project, train__a=("weights", {"arms.a.seed": 0}))
    assert command.main(["record"]) == 0
    made = by_stage(project, status="executed", engine="11-1")["train@a"]
    cached = by_stage(project, status="cached")["train@a"].data.tags
    assert made.data.tags["key"] == cached["key"]
    assert cached["origin_run"] == made.info.run_id


@pytest.mark.usefixtures("all_fresh")
def test_call_above_owns_what_it_did_not_execute(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from Snakefile's onsuccess; a call that changed nothing at all is not told."""
    lock(project, corpus=("text", {}))
    for call in ("21-1", "22-1"):
        monkeypatch.setattr(engine, "find", lambda call=call: engine.Engine(call, "snakemake", 1000))
        assert command.main(["record"]) == 0
    (run,) = all_runs(project)
    assert run.data.tags["engine"] == "21-1"


@pytest.mark.usefixtures("all_fresh")
def test_failed_runs_get_no_key(project: Path) -> None:
    out = project / "results/corpus/None.json"
    out.parent.mkdir(parents=True)

    def fail() -> None:
        with tracking.run("corpus", None, {}, outputs=[out]):
            out.write_text("text")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    lock(project, corpus=("text", {}))
    assert command.main(["record"]) == 0
    assert "key" not in by_stage(project, status="executed")["corpus"].data.tags


@pytest.mark.usefixtures("all_fresh")
def test_recording_with_a_dead_server_is_sent_later(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    execute(project, "train", "a", "weights")
    lock(project, corpus=("text", {}), train__a=("weights", {}))
    capsys.readouterr()
    assert command.main(["record"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert command.main(["record"]) == 0
    assert {name: run.data.tags["status"] for name, run in by_stage(project).items()} == {
        "corpus": "cached",
        "train@a": "executed",
    }


def test_damaged_lock_is_told_in_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "dvc.lock").write_text("stages: {a: [}\n")
    assert command.main(["record"]) == 1
    (warned,) = capsys.readouterr().err.splitlines()
    assert "dvc.lock: not valid YAML" in warned


def test_fresh_asks_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stale, and all that lies below it, is not cached; what is beside it is."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    stages = {
        "corpus": {"cmd": "echo text > text", "params": ["corpus"], "outs": ["text"]},
        "train": {"cmd": "cp text model", "deps": ["text"], "outs": ["model"]},
        "beside": {"cmd": "echo x > beside", "params": ["beside"], "outs": ["beside"]},
    }
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (tmp_path / "params.yaml").write_text("corpus: 1\nbeside: 1\n")
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        repo.reproduce()
    assert record.fresh(tmp_path) == ["beside", "corpus", "train"]
    keys = {stage: lockfile.key(entry) for stage, entry in lockfile.entries(tmp_path).items()}
    assert len(set(keys.values())) == 3
    (tmp_path / "params.yaml").write_text("corpus: 2\nbeside: 1\n")
    assert record.fresh(tmp_path) == ["beside"]
