"""Does `make run` tell how far it is and what failed; does cleaning keep what git holds?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from workflow import clean, estimate
from workflow import run as make_run

SNAKEMAKE_SAYS = """\
Using workflow specific profile profiles/default for setting default command line arguments.
Building DAG of jobs...
Job stats:
job       count
------  -------
corpus        1
total         2

[Sat Nov 21 04:08:36 2026]
Job 1: corpus
warning: one sentence was dropped
[Sat Nov 21 04:08:37 2026]
Finished jobid: 1 (Rule: corpus)
1 of 2 steps (50%) done
Job 2: train@small
error: train@small: loss is not finite at step 3
Error in rule train:
    message: train@small
    jobid: 2
    input: .snakemake/stale/train@small
    log: logs/train/small.log (check log file(s) for error details)
"""


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> estimate.Progress:
    monkeypatch.setattr(make_run, "_stale", lambda: ["corpus", "train@small"])
    return estimate.Progress(known={"train@small": 60.0}, cores=2)


def test_the_failed_stage_is_named_and_the_chatter_is_not_shown(
    progress: estimate.Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_run.follow(SNAKEMAKE_SAYS.splitlines(keepends=True), progress) == ["train@small"]
    shown = capsys.readouterr().out.splitlines()
    assert shown[:5] == [
        "corpus: started (0 of 2 stages)",
        "warning: one sentence was dropped",
        "corpus: done in 0:00 (1 of 2 stages)",
        "train@small: started (1 of 2 stages)",
        "error: train@small: loss is not finite at step 3",
    ]
    assert make_run.log_of("train@small") == "logs/train/small.log"


def test_the_time_left_is_what_the_stages_took_before_spread_over_the_cores() -> None:
    progress = estimate.Progress(known={"train@a": 100.0, "train@b": 60.0}, cores=2)
    assert progress.seconds_left(0.0) == 0.0
    progress.names = ["corpus", "train@a", "train@b", "train@c"]
    assert progress.seconds_left(0.0) is None, "nothing is known of corpus"
    progress.done["corpus"] = 5.0
    assert progress.seconds_left(0.0) == (100 + 60 + 80) / 2
    progress.running["train@a"] = 0.0
    assert progress.seconds_left(50.0) == (50 + 60 + 80) / 2
    progress.done |= {"train@b": 60.0, "train@c": 80.0}
    assert progress.seconds_left(50.0) == 50.0


def test_committed_timings_are_read(tmp_path: Path) -> None:
    (tmp_path / "timing/train").mkdir(parents=True)
    (tmp_path / "timing/train/small.json").write_text('{"seconds": 12.5}')
    assert estimate.expected_seconds(tmp_path) == {"train@small": 12.5}


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (75, "1:15"), (3675, "1:01:15")])
def test_clock(seconds: float, text: str) -> None:
    assert estimate.clock(seconds) == text


def test_cleaning_keeps_what_git_holds(tmp_path: Path) -> None:
    for name in (
        "results/default/train/a/metrics.json",
        "results/default/train/a/model/weights",
        "logs/corpus.log",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("12345")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "results/default/train/a/metrics.json"], cwd=tmp_path, check=True)
    assert clean.remove_results(tmp_path) == 10
    left = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if ".git" not in path.parts]
    assert sorted(left) == [
        "logs",
        "results",
        "results/default",
        "results/default/train",
        "results/default/train/a",
        "results/default/train/a/metrics.json",
    ]


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1_500, "1.5 kB"), (2_340_000_000, "2.3 GB")])
def test_size(count: int, text: str) -> None:
    assert clean.size(count) == text


def test_a_stage_that_failed_and_was_retried_is_no_failure(progress: estimate.Progress) -> None:
    """As a scheduler's jobs are, under `retries`."""
    again = "Trying to restart job 2.\nJob 2: train@small\n[Sat Nov 21 04:09:00 2026]\n"
    done = "Finished jobid: 2 (Rule: train)\n2 of 2 steps (100%) done\n"
    assert make_run.follow((SNAKEMAKE_SAYS + again + done).splitlines(keepends=True), progress) == []
    assert set(progress.done) == {"corpus", "train@small"}


def test_a_place_that_is_unknown_or_wants_an_executor_is_told(tmp_path: Path) -> None:
    for name, text in (("default", "cores: 1"), ("moon", "executor: moon_rocket")):
        (tmp_path / "profiles" / name).mkdir(parents=True)
        (tmp_path / "profiles" / name / "config.yaml").write_text(text)
    make_run.check_place(tmp_path, "default")
    with pytest.raises(ValueError, match="ON: found 'mars'; expected one of default, moon"):
        make_run.check_place(tmp_path, "mars")
    with pytest.raises(ValueError, match="'moon' needs snakemake-executor-plugin-moon_rocket, which is not installed"):
        make_run.check_place(tmp_path, "moon")


def test_every_place_reads_flags_and_not_times() -> None:
    """A job is stale when DVC says so: what Snakemake's default profile sets, each of the others must set too."""
    folder = Path(__file__).parents[2] / "profiles"
    places = {path.parent.name: YAML(typ="safe").load(path) for path in folder.glob("*/config.yaml")}
    assert {"default", "slurm", "kubernetes"} <= places.keys()
    for name, settings in places.items():
        assert places["default"].items() <= settings.items(), name
        stages = set(settings.get("set-resources", {}))
        assert stages <= {path.stem for path in (folder.parent / "src/diffusionbert/stages").glob("*.py")}, name
