"""Two engines, one definition: does each stage execute exactly when it must, whichever engine is asked?"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from workflow import leftovers
from workflow.definition import is_folder, read

from pipeline import warm
from pipeline.project import Project, kill_training, together

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]

EVERY_STAGE = {
    *("corpus", "tokenize@bert", "information@bert", "spindle@bert"),
    *("metrics", "pairs", "generative", "speed", "audit", "report"),
    *(f"{stage}@{arm}" for stage in ("train", "evaluate", "sample") for arm in ("linear", "spindle")),
    "frontier@linear",
}
OVER_ALL_ARMS = {"metrics", "pairs", "generative", "speed", "report"}
ARM = {"train@linear", "evaluate@linear", "sample@linear", "frontier@linear"}
EVALUATION = "results/engines/evaluate/linear/metrics.json"


@dataclass(frozen=True)
class Finished:
    """Two projects that ran once, each by one engine: what executed first, what the other engine then did."""

    by_snakemake: Project
    by_dvc: Project
    first: dict[str, dict[str, int]]
    then: dict[str, dict[str, int]]
    words: dict[str, str]


@pytest.fixture(scope="module")
def starter() -> Iterator[Path]:
    with warm.started() as folder:
        yield folder


@pytest.fixture(scope="module")
def finished(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Snakemake starts every stage as a user's machine would; DVC as forks, which shows that they are the same."""
    folder = tmp_path_factory.mktemp("engines")
    one = Project.new(folder / "snakemake", "engines")
    two = replace(Project.new(folder / "dvc", "engines"), first_in_path=starter)
    words = together(lambda: one.snakemake(cores=4), lambda: two.dvc())
    first = {"snakemake": dict(one.executed()), "dvc": dict(two.executed())}
    together(lambda: one.dvc(), lambda: two.snakemake())
    then = {"snakemake": dict(one.executed()), "dvc": dict(two.executed())}
    return Finished(one, two, first, then, dict(zip(("snakemake", "dvc"), words, strict=True)))


@pytest.fixture
def pair(finished: Finished, starter: Path, tmp_path: Path) -> Iterator[tuple[Project, Project]]:
    """Two finished copies, one for each engine to go first."""
    yield finished.by_snakemake.copy(tmp_path / "one", starter), finished.by_dvc.copy(tmp_path / "two", starter)
    shutil.rmtree(tmp_path)


def once(names: set[str]) -> dict[str, int]:
    return dict.fromkeys(names, 1)


def both_orders(pair: tuple[Project, Project], expected: set[str]) -> None:
    """The first engine executes what is expected, once; the other nothing."""
    one, two = pair
    together(lambda: one.snakemake(), lambda: two.dvc())
    assert dict(one.executed()) == once(expected)
    assert dict(two.executed()) == once(expected)
    together(lambda: one.dvc(), lambda: two.snakemake())
    assert not one.executed()
    assert not two.executed()


def set_seed(data: Any) -> None:
    data["arms"]["linear"]["seed"] = 1


def add_arm(data: Any) -> None:
    data["arms"]["third"] = copy.deepcopy(data["arms"]["linear"]) | {"seed": 2}


@pytest.mark.parametrize("engine", ["snakemake", "dvc"])
def test_a_fresh_run_executes_all_once_and_the_other_engine_nothing(finished: Finished, engine: str) -> None:
    assert finished.first[engine] == once(EVERY_STAGE)
    assert finished.then[engine] == {}


def test_arms_side_by_side_meet_no_lock_error(finished: Finished) -> None:
    """The fresh Snakemake run had four jobs at once."""
    assert "lock" not in finished.words["snakemake"].lower()


def test_the_engines_make_the_same_bytes(finished: Finished) -> None:
    one, two = finished.by_snakemake.outputs(), finished.by_dvc.outputs()
    seconds = {name for name in one if "speed" in name or "timing" in name}  # the report has none
    assert one.keys() == two.keys()
    assert [name for name in one.keys() - seconds if one[name] != two[name]] == []


def test_a_changed_and_an_added_arm_execute_alone_with_what_lies_below(pair: tuple[Project, Project]) -> None:
    """Both at once, which spares a minute: the arm that is neither changed nor new must not execute."""
    for project in pair:
        project.edit("engines", set_seed)
        project.edit("engines", add_arm)
    both_orders(pair, ARM | {"train@third", "evaluate@third", "sample@third"} | OVER_ALL_ARMS)


def test_outputs_that_dvc_brings_back_are_not_made_again(pair: tuple[Project, Project]) -> None:
    for project in pair:
        for name in ("corpus/text", "tokenize/bert/shards", "train/linear/model"):
            shutil.rmtree(project.folder / "results/engines" / name)
        (project.folder / "results/engines/sample/linear/samples.jsonl").unlink()
        project.run("dvc", "checkout")
    shutil.rmtree(pair[0].folder / ".snakemake")
    both_orders(pair, set())


def test_a_touched_source_file_executes_nothing(pair: tuple[Project, Project]) -> None:
    for project in pair:
        for path in (project.folder / "src").rglob("*.py"):
            path.touch()
        (project.folder / "params.yaml").touch()
    both_orders(pair, set())


def test_going_to_another_profile_and_back_executes_nothing(pair: tuple[Project, Project]) -> None:
    """The other profile differs in its name and place only, so that one cheap stage shows what is wanted."""
    one, _ = pair
    overlay = (one.folder / "profiles/engines.yaml").read_text(encoding="utf-8")
    (one.folder / "profiles/other.yaml").write_text(overlay.replace("profile: engines", "profile: other"))
    one.use("other")
    one.snakemake("results/other/corpus/metrics.json")
    assert dict(one.executed()) == once({"corpus"})
    assert "removed" in one.run("python", "-m", "workflow.clean", "cache"), "what other profiles need stays"
    shutil.rmtree(one.folder / "results/engines")
    words = one.run("python", "-m", "workflow.run", "--profile", "engines", "--cores", "2")
    assert not one.executed()
    assert words.splitlines()[-1] == "report: results/engines/report.html"
    one.dvc()
    assert not one.executed()


def test_what_one_clone_pushes_another_pulls_and_executes_nothing(
    pair: tuple[Project, Project], tmp_path: Path
) -> None:
    """A folder as the remote; `make test-remote` does the same over S3. Git brings what it holds, DVC the rest."""
    one, _ = pair
    ignored = one.folder / ".gitignore"
    ignored.write_text(ignored.read_text(encoding="utf-8").replace("/results/engines/\n", ""), encoding="utf-8")
    one.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    one.run("git", "add", "--all")
    one.run("git", "-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "commit", "-qm", "results")
    one.run("dvc", "push", "--run-cache")
    other = replace(one, folder=tmp_path / "other")
    one.run("git", "clone", "--quiet", str(one.folder), str(other.folder))
    other.run("dvc", "pull", "--run-cache")
    assert "up to date" in other.run("dvc", "status")
    other.snakemake()
    other.dvc()
    assert not other.executed()
    shutil.rmtree(other.folder / "results/engines/train/linear/model")
    other.run("dvc", "checkout")
    other.dvc()
    assert not other.executed(), "what git does not hold comes from the cache"
    assert {name: text for name, text in other.outputs().items() if "speed" not in name} == {
        name: text for name, text in one.outputs().items() if "speed" not in name
    }


def test_one_output_of_one_arm_can_be_asked_for(pair: tuple[Project, Project]) -> None:
    one, _ = pair
    one.edit("engines", set_seed)
    one.snakemake(EVALUATION)
    assert dict(one.executed()) == once({"train@linear", "evaluate@linear"})


def test_snakemake_reports(pair: tuple[Project, Project]) -> None:
    one, _ = pair
    one.run("snakemake", "--report", "page.html")
    page = (one.folder / "page.html").read_text(encoding="utf-8")
    assert "history.csv" in page
    assert "report.html" in page


def long_training(data: Any) -> None:
    data["train"] |= {"steps": 200, "checkpoint_every": 20, "valid_every": 200}


@pytest.fixture(scope="module")
def undisturbed(finished: Finished, starter: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of the long training when nothing happens to it."""
    project = finished.by_dvc.copy(tmp_path_factory.mktemp("undisturbed") / "dvc", starter)
    project.edit("engines", long_training)
    project.dvc("train@linear")
    return weights(project)


@pytest.mark.parametrize("whole_group", [False, True], ids=["job", "group"])
def test_a_killed_training_resumes_under_either_engine(
    pair: tuple[Project, Project], starter: Path, undisturbed: bytes, tmp_path: Path, whole_group: bool
) -> None:
    """What is killed is a process of its own, as a user's; what resumes may be a fork."""
    one, two = pair
    for project in pair:
        project.edit("engines", long_training)
    cold = [replace(project, first_in_path=None) for project in pair]
    target = "results/engines/train/linear/model"
    together(
        lambda: kill_training(cold[0], "snakemake", "--cores", "2", target, whole_group=whole_group),
        lambda: kill_training(cold[1], "dvc", "repro", "train@linear", whole_group=whole_group),
    )
    assert one.executed()["train@linear"] == 1
    assert two.executed()["train@linear"] == 1
    three, four = one.copy(tmp_path / "three", starter), two.copy(tmp_path / "four", starter)
    if whole_group:  # the dead owner's lock is left: the bare command says what to do, `make run` does it
        assert "--unlock" in one.snakemake(EVALUATION, status=1)
        leftovers.clear(one.folder)
        (one.folder / target).mkdir()  # as a job that outlives its engine leaves it
    words = together(
        lambda: one.snakemake(EVALUATION),
        lambda: two.dvc("evaluate@linear"),
        lambda: three.dvc("evaluate@linear"),
        lambda: four.snakemake(EVALUATION),
    )
    for project, said in zip((one, two, three, four), words, strict=True):
        assert dict(project.executed()) == once({"train@linear", "evaluate@linear"})
        assert weights(project) == undisturbed
        assert "resum" in said, "training began anew"


def weights(project: Project) -> bytes:
    return (project.folder / "results/engines/train/linear/model/model.safetensors").read_bytes()


def test_with_every_arm_of_the_later_issues_nothing_executes_twice(tmp_path: Path) -> None:
    """25 arms with made-up outputs that DVC takes over as they are; `make bench` measures the seconds."""
    project = Project.new(tmp_path / "many", "engines")

    def many(data: Any) -> None:
        for number in range(25 - len(data["arms"])):
            data["arms"][f"arm_{number}"] = copy.deepcopy(data["arms"]["spindle"]) | {"seed": number}

    project.edit("engines", many)
    definition = read(project.folder, ask=False)
    for out in definition.everything():
        path = project.folder / out / "file" if is_folder(out) else project.folder / out
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(out)
    project.run("dvc", "commit", "--force", "--quiet")
    project.snakemake()
    project.dvc()
    assert not project.executed()
