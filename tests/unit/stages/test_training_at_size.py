"""The train stage in several processes, stopped, in bfloat16, compiled, and estimated instead of run."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from workflow.profiles import merged

from diffusionbert.checkpoint import Checkpoint, held
from diffusionbert.config import Package, load
from diffusionbert.corpus.shards import Shards
from diffusionbert.stages import estimate, information, processes, train

ROOT = Path(__file__).parents[3]
SHAPE = "      max_position_embeddings: 64\n"
NO_DROPOUT = f"{SHAPE}      hidden_dropout_prob: 0.0\n      attention_probs_dropout_prob: 0.0\n"


@pytest.fixture
def project(grammar_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml of two tiny arms without dropout, and the inputs of their training."""
    text, _ = merged(ROOT, "engines")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    Path("params.yaml").write_text(text)
    change((SHAPE, NO_DROPOUT))
    shutil.copytree(grammar_shards.parent, "results/engines/tokenize/bert")
    arguments = ["--tokenizer", "bert", "--tokens", "results/engines/tokenize/bert"]
    assert information.main([*arguments, "--out", "results/engines/information/bert"]) == 0
    return tmp_path


def change(*pairs: tuple[str, str]) -> None:
    text = Path("params.yaml").read_text()
    for before, after in pairs:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    Path("params.yaml").write_text(text)


def arguments(out: str, arm: str = "linear") -> list[str]:
    inputs = ["--tokens", "results/engines/tokenize/bert", "--information", "results/engines/information/bert"]
    return ["--arm", arm, *inputs, "--out", out, "--timing", f"{out}.json"]


def rows(path: Path) -> list[dict[str, float]]:
    with path.open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.timeout(600)
def test_two_processes_write_what_one_does(project: Path) -> None:
    """As the engines start it: `runtime.processes` has the stage start itself again, and the outputs are the same."""
    assert train.main(arguments("one")) == 0
    change(("processes: 1 ", "processes: 2 "))
    assert train.main(arguments("two")) == 0
    files = [sorted(path.name for path in (project / out).rglob("*")) for out in ("one", "two")]
    assert files[0] == files[1]
    for name in ("history.csv", "validation.csv"):
        for ours, theirs in zip(rows(project / "two" / name), rows(project / "one" / name), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)
    one, two = (json.loads((project / out / "metrics.json").read_text()) for out in ("one", "two"))
    assert two.pop("processes") == 2
    assert two.keys() == one.keys()
    for key, value in one.items():
        assert two[key] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value), key
    assert json.loads((project / "two.json").read_text())["tokens_per_second"] > 0
    assert not list((project / ".checkpoints").glob("*/"))


@pytest.mark.timeout(600)
def test_sigterm_stops_all_processes_with_one_line_and_a_state(project: Path) -> None:
    change(("processes: 1 ", "processes: 2 "), ("  steps: 10\n", "  steps: 1000000\n"))
    command = [sys.executable, "-m", "diffusionbert.stages.train", *arguments("never")]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list((project / ".checkpoints").glob("*/step-*.pt")):
        assert running.poll() is None
        time.sleep(0.2)
    running.send_signal(signal.SIGTERM)
    told = running.communicate()[1]
    assert running.returncode == processes.STOPPED == 143
    lines = [line for line in told.splitlines() if "SIGTERM" in line]
    assert len(lines) == 1
    newest = max((project / ".checkpoints").glob("*/step-*.pt"))
    assert lines[0].startswith(f"train: SIGTERM: the state after step {int(newest.stem.split('-')[1])} is written")
    assert not (project / "never").exists()


GROUP = "trap '' TERM; {python} -m diffusionbert.stages.{stage} 2>&1 | cat >&2"  # as the Snakefile's shells


@pytest.mark.timeout(600)
def test_sigterm_to_a_whole_job_ends_it_when_the_state_is_written(project: Path) -> None:
    """A scheduler signals every process of a job; the last to go must be the training, and its words must be heard."""
    change(("  steps: 10\n", "  steps: 1000000\n"))
    command = GROUP.format(python=sys.executable, stage="train " + " ".join(arguments("never")))
    options = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    running = subprocess.Popen(["bash", "-euo", "pipefail", "-c", command], **options)  # type: ignore[call-overload]
    while not list((project / ".checkpoints").glob("*/step-*.pt")):
        assert running.poll() is None
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGTERM)
    assert "SIGTERM: the state after step" in running.communicate()[1]
    assert running.returncode == processes.STOPPED


def test_another_stage_obeys_sigterm_where_its_shell_ignores_it(project: Path) -> None:
    """What a shell ignores its children ignore, too, unless they say otherwise."""
    program = "import signal, time; from diffusionbert.stages import shell; shell._take_sigterm(); print(1, flush=True)"
    command = f"trap '' TERM; {sys.executable} -c '{program}; time.sleep(600)'"
    running = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "1\n"
    os.killpg(running.pid, signal.SIGTERM)
    assert running.wait() in {-signal.SIGTERM, 128 + signal.SIGTERM}


@pytest.mark.timeout(600)
def test_workers_whose_launcher_is_killed_write_their_state_and_end(project: Path) -> None:
    change(("processes: 1 ", "processes: 2 "), ("  steps: 10\n", "  steps: 1000000\n"))
    launcher = subprocess.Popen([sys.executable, "-m", "diffusionbert.stages.train", *arguments("never")])
    while not list((project / ".checkpoints").glob("*/step-*.pt")):
        assert launcher.poll() is None
        time.sleep(0.1)
    workers = psutil.Process(launcher.pid).children(recursive=True)
    launcher.kill()
    launcher.wait()
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=120)[1] == []


def test_a_second_process_is_refused_the_training(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with held(project / ".checkpoints/engines-linear.lock"):
        assert train.main(arguments("never")) == 1
    error = capsys.readouterr().err
    assert "error: train@linear: .checkpoints/engines-linear.lock: another process is at this training" in error
    assert train.main(arguments("out")) == 0


def test_states_of_settings_that_the_arm_had_before_go_with_its_own(project: Path) -> None:
    kept = [".checkpoints/engines-linear2-0123456789abcdef", ".checkpoints/ci-linear-0123456789abcdef"]
    for name in (".checkpoints/engines-linear-0123456789abcdef", *kept):
        Path(name).mkdir(parents=True)
    assert train.main(arguments("out")) == 0
    assert sorted(map(str, Path(".checkpoints").glob("*-*/"))) == sorted(kept)


def test_more_pieces_than_a_process_has_sentences(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change(("processes: 1 ", "processes: 2 "), ("accumulate: 1 ", "accumulate: 5 "))
    assert train.main(arguments("never")) == 1
    assert "train.accumulate is 5, and a process has 4 sentences of a batch" in capfd.readouterr().err


def test_a_fault_in_one_of_two_processes_is_the_stage_s(project: Path) -> None:
    change(("processes: 1 ", "processes: 2 "), ("  batch_size: 8\n  learning_rate", "  batch_size: 7\n  learning_rate"))
    assert train.main(arguments("never")) == 1


def test_bfloat16_and_averaged_weights_from_the_params(project: Path) -> None:
    change(("dtype: float32 ", "dtype: bfloat16 "), ("accumulate: 1 ", "accumulate: 2 "))
    change(("ema_decay:  ", "ema_decay: 0.9 "), ("keep: last ", "keep: best "))
    assert train.main(arguments("out")) == 0
    told = json.loads((project / "out/metrics.json").read_text())
    assert told["dtype"] == "bfloat16"
    validation = {row["step"]: row["nats_per_sentence"] for row in rows(project / "out/validation.csv") if row["step"]}
    assert told["kept_step"] == min(validation, key=lambda step: validation[step])
    assert told["validation_nats_per_sentence"] == pytest.approx(min(validation.values()))
    losses = [row["loss_nats_per_token"] for row in rows(project / "out/history.csv")]
    assert len(losses) == 5
    assert all(math.isfinite(loss) for loss in losses)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler")
@pytest.mark.timeout(600)
def test_compiled_encoders_train_the_same(project: Path) -> None:
    assert train.main(arguments("eager")) == 0
    change(("compile: false ", "compile: true "))
    assert train.main(arguments("compiled")) == 0
    for ours, theirs in zip(rows(project / "compiled/history.csv"), rows(project / "eager/history.csv"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    saved = sorted(path.name for path in (project / "compiled/model").iterdir())
    assert saved == sorted(path.name for path in (project / "eager/model").iterdir())


def test_the_key_of_a_run(project: Path) -> None:
    params = load(Path("params.yaml"))
    shards = Shards.open(Path("results/engines/tokenize/bert/shards"))
    table = Path("results/engines/information/bert/table.parquet")

    def key(section: str, **changed: object) -> str:
        updated = params.model_copy(update={section: getattr(params, section).model_copy(update=changed)})
        return train.run_key(updated, "linear", shards, table)

    same = key("train")
    assert key("runtime", processes=4) == key("train", checkpoints_kept=9) == same
    assert len({same, key("train", accumulate=2), key("train", keep="best"), key("runtime", compile=True)}) == 4


def test_the_key_of_a_run_has_the_sums_of_packages_and_not_where_they_are_fetched(project: Path) -> None:
    params = load(Path("params.yaml"))
    shards = Shards.open(Path("results/engines/tokenize/bert/shards"))
    table = Path("results/engines/information/bert/table.parquet")
    wheel = Package(version="1.0", sha256="a" * 64)

    def key(package: Package) -> str:
        return train.run_key(params.model_copy(update={"packages": {"data": package}}), "linear", shards, table)

    assert key(wheel) == key(wheel.model_copy(update={"registry": "npm"}))
    assert key(wheel) != key(wheel.model_copy(update={"sha256": "b" * 64}))


def test_an_estimate_is_told_and_nothing_is_left(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--arm", "linear", "--estimate", "--steps", "3", "--json", "figures.json"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("train@linear, profile engines, on 1 x cpu, float32, 1 thread(s) a process; ")
    assert told[1].startswith("measured on the sentences of results/engines/tokenize/bert: 3 steps of 8 sentences")
    assert [line.split(":")[0].strip() for line in told[2:4]] == ["a step", "tokens a second"]
    assert told[4].startswith("the whole run, 10 steps and ")
    assert "  3 validations of 8 sentences: " in told[6]
    assert "  4 checkpoints of " in told[7]
    assert estimate.told(json.loads(Path("figures.json").read_text())) == told
    assert not (project / ".checkpoints").exists()
    assert not (project / "results/engines/train").exists()


def test_an_estimate_without_shards_says_what_it_took_instead() -> None:
    made, table = estimate.sentences_of_random_words(128)
    assert made["train"].lengths.mean() == pytest.approx(estimate.MEAN_TOKENS, rel=0.02)
    assert made["train"].lengths.max() <= 128
    assert not table.counts[~table.candidates].any()
    assert table.candidates.sum() == 30_522 - 104


def test_an_unknown_arm_is_not_estimated(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--arm", "nobody", "--estimate"]) == 1
    error = capsys.readouterr().err.strip()
    assert error == "error: train@nobody --estimate: --arm: found 'nobody'; expected one of linear, spindle"


def test_how_many_processes_are_wanted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes.wanted([]) == 1
    change(("processes: 1 ", "processes: 3 "))
    assert processes.wanted(["--arm", "linear"]) == 3
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert processes.wanted([]) == 1  # it is one of them
    monkeypatch.delenv("LOCAL_RANK")
    change(("processes: 3 ", "processes: auto "))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert processes.wanted([]) == 4
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert processes.wanted([]) == 1
    assert processes.wanted(["--params", "nowhere.yaml"]) == 1


def test_a_folder_that_processes_do_not_share_is_refused(tmp_path: Path, grammar_shards: Path) -> None:
    """A machine that finds another state than the first would train another model."""
    from diffusionbert.training.loop import _start
    from diffusionbert.training.state import Run

    class Two:
        rank, num_ranks = 1, 2

        def objects(self, value: object) -> list[object]:
            return [6, value]

    run = Run.of(torch.nn.Linear(1, 1), load_settings(), torch.device("cpu"))
    with pytest.raises(ValueError, match=r"the processes found the states of steps 6, 0; expected the same one"):
        _start(run, Checkpoint(tmp_path, "k"), 0, Two(), "test")  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


def load_settings() -> train.Settings:
    return train.Settings(**merged(ROOT, "engines")[1].train.model_dump())
