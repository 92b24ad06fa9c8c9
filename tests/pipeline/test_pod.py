"""A stage as a Job of Kubernetes, against a `kubectl` of the test's own that keeps what it is given."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from workflow import pod

ROOT = Path(__file__).parents[2]
# Keeps its words and what it reads, and answers what the test put beside it.
KUBECTL = """\
#!{python} -IS
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as file:
    file.write(json.dumps([sys.argv[1:], sys.stdin.read() if "--filename=-" in sys.argv else None]) + "\\n")
answer = here / "answer"
if not answer.exists():
    sys.exit("Unable to connect\\nto the server")
sys.stdout.write(answer.read_text())
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL.format(python=sys.executable), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.chdir(ROOT)
    return tmp_path


def calls(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "calls").read_text(encoding="utf-8").splitlines()]


def test_a_job_is_the_manifest_with_script_folder_environment_and_resources(
    kubectl: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIFFUSIONBERT_ENGINE", "1-2 snakemake 3")
    monkeypatch.setenv("SECRET_OF_MINE", "unheard of")
    (kubectl / "answer").write_text("job.batch/diffusionbert-x7x7x\n")
    words = ["submit", "--cores", "2", "--mem-mb", "32000", "--gpu", "1", ".snakemake/job.sh"]
    assert pod.main(words) == 0
    assert capsys.readouterr().out == "diffusionbert-x7x7x\n"
    ((said, given),) = calls(kubectl)
    assert said == ["create", "--output=name", "--filename=-"]
    job = json.loads(given)
    expected = YAML(typ="safe").load((ROOT / pod.MANIFEST).read_text(encoding="utf-8"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (own,) = expected["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["/bin/sh", ".snakemake/job.sh"]
    assert container["workingDir"] == str(ROOT)
    wanted = {"cpu": "2", "memory": "32000M", "nvidia.com/gpu": "1"}
    assert container["resources"] == {"requests": wanted, "limits": wanted}
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment["DIFFUSIONBERT_ENGINE"] == "1-2 snakemake 3"
    assert environment["PATH"].startswith(str(kubectl))
    assert "SECRET_OF_MINE" not in environment
    assert {name: container[name] for name in own} == own
    assert job["metadata"] == expected["metadata"]


def test_a_job_without_a_gpu_asks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = {
        "spec": {"template": {"spec": {"containers": [{"name": "stage", "env": [{"name": "A", "value": "1"}]}]}}}
    }
    job = pod.filled(manifest, Path("job.sh"), 1, 8000, 0, {})
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "8000M"}
    assert container["env"] == [{"name": "A", "value": "1"}]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, "running"),
        ({"active": 1}, "running"),
        ({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}, "success"),
        ({"failed": 1}, "failed"),
        ({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}, "failed"),
        ({"active": 1, "conditions": [{"type": "Failed", "status": "False"}]}, "running"),
    ],
)
def test_the_state_of_a_job(
    kubectl: Path, capsys: pytest.CaptureFixture[str], status: dict[str, Any], expected: str
) -> None:
    (kubectl / "answer").write_text(json.dumps({"kind": "Job", "status": status}))
    assert pod.main(["status", "diffusionbert-x7x7x"]) == 0
    assert capsys.readouterr().out == f"{expected}\n"


def test_cancelling_deletes_and_an_unreachable_cluster_is_one_line(
    kubectl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pod.main(["cancel", "a", "b"]) == 1
    assert capsys.readouterr().err == "error: pod: kubectl delete: Unable to connect to the server\n"
    (kubectl / "answer").write_text("")
    assert pod.main(["cancel", "a", "b"]) == 0
    assert calls(kubectl)[-1][0] == ["delete", "--ignore-not-found", "job", "a", "b"]


def test_a_manifest_of_two_containers_is_refused() -> None:
    manifest = {"spec": {"template": {"spec": {"containers": [{}, {}]}}}}
    with pytest.raises(ValueError, match=r"job.yaml: spec.template.spec.containers: expected a list of one container"):
        pod.filled(manifest, Path("job.sh"), 1, 8000, 0, {})
