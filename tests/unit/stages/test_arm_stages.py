"""train, evaluate, sample and speed over the generated corpus, in process: results, repeatability, bad input."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest
import torch
from workflow.profiles import merged

from diffusionbert import config
from diffusionbert.arms.base import Draw
from diffusionbert.arms.build import saved_arm, trained_arm
from diffusionbert.corpus.batches import collate
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import read_information
from diffusionbert.diffusion.sampling import Canvas, State
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.stages import evaluate, frontier, information, sample, speed, train
from diffusionbert.stages.compute import Machine
from toy_arms import toy_vocabulary

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(grammar_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml of two tiny arms and the inputs of their stages."""
    text, _ = merged(ROOT, "engines")
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(text)
    shutil.copytree(grammar_shards.parent, "results/tokenize/bert")
    assert (
        information.main(
            ["--tokenizer", "bert", "--tokens", "results/tokenize/bert", "--out", "results/information/bert"]
        )
        == 0
    )
    return tmp_path


def _arguments(stage: str, arm: str, out: str = "results") -> list[str]:
    inputs = ["--tokens", "results/tokenize/bert", "--information", "results/information/bert"]
    model = [] if stage == "train" else ["--model", f"{out}/train/{arm}/model"]
    return [
        "--arm",
        arm,
        *model,
        *inputs,
        "--out",
        f"{out}/{stage}/{arm}",
        "--timing",
        f"{out}/timing/{stage}/{arm}.json",
    ]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "timing" not in path.parts
    }


def test_an_arm_from_training_to_text_twice_the_same(project: Path) -> None:
    for out in ("results", "again"):
        assert train.main(_arguments("train", "spindle", out)) == 0
        assert evaluate.main(_arguments("evaluate", "spindle", out)) == 0
        assert sample.main(_arguments("sample", "spindle", out)) == 0
    for stage in ("train", "evaluate", "sample"):
        first, second = _files(project / "results" / stage), _files(project / "again" / stage)
        assert first
        assert first == second
    assert not list((project / ".checkpoints").glob("*/"))

    scored = json.loads((project / "results/evaluate/spindle/metrics.json").read_text())
    assert {name: figure["is_bound"] for name, figure in scored["protocols"].items()} == {
        "valid": True,
        "oracle": False,
        "released": False,
    }
    assert set(scored["orders"]) == {"linear", "spindle_0.3"}
    tightened = scored["importance"]
    assert (tightened["samples"], tightened["sentences"], tightened["is_bound"]) == (2, 4, True)
    assert tightened["schedule"] == "spindle, lambda 0.3, corpus mean, T = 32"
    assert tightened["difference_nats_per_sentence"]["value"] <= 0
    columns = pq.read_table(project / "results/evaluate/spindle/sentences.parquet").to_pydict()
    assert len(columns["valid"]) == scored["sentences"]
    mean = sum(columns["valid"]) / len(columns["valid"])
    assert mean == pytest.approx(scored["protocols"]["valid"]["nats_per_sentence"]["value"])
    rows = [json.loads(line) for line in (project / "results/sample/spindle/samples.jsonl").read_text().splitlines()]
    assert [row["index"] for row in rows] == list(range(8))
    assert all("[MASK]" not in row["text"] and row["length"] == 12 for row in rows)
    told = json.loads((project / "results/timing/train/spindle.json").read_text())
    assert told["tokens_per_second"] > 0
    assert told["peak_memory_mb"] > 0


def _change(*pairs: tuple[str, str]) -> None:
    text = Path("params.yaml").read_text()
    for before, after in pairs:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    Path("params.yaml").write_text(text)


def test_continuous_time_and_the_releases_sampler(project: Path) -> None:
    assert train.main(_arguments("train", "spindle")) == 0
    _change(("time: discrete", "time: continuous"), ("importance_samples: 2", "importance_samples: null"))
    _change(("sampler: exact", "sampler: released"), ("temperature: 1.0", "temperature: 0.1"))
    assert evaluate.main(_arguments("evaluate", "spindle")) == 0
    scored = json.loads((project / "results/evaluate/spindle/metrics.json").read_text())
    assert (scored["time"], scored["importance"]) == ("continuous", None)
    assert scored["protocols"]["valid"]["schedule"] == "spindle, lambda 0.3, corpus mean, T = infinity"
    assert scored["protocols"]["valid"]["is_bound"]
    # a network of ten steps is close to uniform, about ln V a token
    expected = scored["tokens"] / scored["sentences"] * 5.7
    assert scored["protocols"]["valid"]["nats_per_sentence"]["value"] == pytest.approx(expected, rel=0.25)
    assert sample.main(_arguments("sample", "spindle")) == 0
    told = json.loads((project / "results/sample/spindle/metrics.json").read_text())
    rows = [json.loads(line) for line in (project / "results/sample/spindle/samples.jsonl").read_text().splitlines()]
    assert told["sampler"] == "released"
    assert told["denoiser_calls"] == 4
    assert told["mask_left"] == sum(row["text"].count("[MASK]") for row in rows)


def _frontier(arm: str, out: str = "results") -> list[str]:
    inputs = ["--model", f"results/train/{arm}/model", "--tokenize", "results/tokenize"]
    inputs += ["--information", "results/information", "--timing", f"{out}/timing/frontier/{arm}.json"]
    return ["--arm", arm, *inputs, "--out", f"{out}/frontier/{arm}"]


def test_steps_and_continuous_time_are_scored_beside_the_bound(project: Path) -> None:
    assert train.main(_arguments("train", "linear")) == 0
    _change(("step_counts: [2, 4]", "step_counts: [32, 4, 2]"), ("step_sentences: 4", "step_sentences: 16"))
    _change(("num_strata: 2\n  time", "num_strata: 32\n  time"))
    assert evaluate.main(_arguments("evaluate", "linear")) == 0
    scored = json.loads((project / "results/evaluate/linear/metrics.json").read_text())
    rows = scored["steps"]
    assert [row["num_steps"] for row in rows] == [2, 4, 32]
    # 32 strata of 32 steps: the T-step model by the draws of the figure itself
    assert rows[-1]["nats_per_sentence"] == scored["protocols"]["valid"]["nats_per_sentence"]
    assert rows[-1]["against_most_steps"]["difference_nats_per_sentence"]["value"] == 0
    first = rows[0]["against_most_steps"]["difference_nats_per_sentence"]["value"]
    assert first == pytest.approx(rows[0]["nats_per_sentence"]["value"] - rows[-1]["nats_per_sentence"]["value"])
    limit = scored["protocols"]["continuous"]
    assert (limit["schedule"], limit["is_bound"]) == ("linear, T = infinity", True)
    valid = scored["protocols"]["valid"]["nats_per_sentence"]["value"]
    assert limit["nats_per_sentence"]["value"] == pytest.approx(valid, rel=0.05)


@pytest.mark.parametrize("name", ["linear", "spindle"])
def test_a_model_folder_is_the_arm_by_itself(project: Path, name: str, tmp_path: Path) -> None:
    """Moved elsewhere, and without params.yaml, shards and table: the same scores to the last bit."""
    assert train.main(_arguments("train", name)) == 0
    shards = Shards.open(project / "results/tokenize/bert/shards")
    table = read_information(project / "results/information/bert/table.parquet", shards.special)
    model = project / f"results/train/{name}/model"
    stages = trained_arm(name, config.load(Path("params.yaml")), model, shards, table)
    model.rename(tmp_path / "elsewhere")
    alone = saved_arm(tmp_path / "elsewhere")
    batch = collate(shards["test"], range(5), shards.special.pad_id)
    draw = Draw(torch.full((5,), 7), torch.full((5,), 8), torch.full(batch.tokens.shape, 0.7, dtype=torch.float64))
    with torch.no_grad():
        one, other = (arm.scorer([], 0.3)(batch, draw, ["valid"])["valid"] for arm in (stages, alone))
    assert torch.equal(one.reveal, other.reveal)
    assert torch.equal(one.timing, other.timing)


def test_a_frontier_has_every_point_and_is_the_same_again(project: Path) -> None:
    assert train.main(_arguments("train", "linear")) == 0
    for out in ("results", "again"):
        assert frontier.main(_frontier("linear", out)) == 0
    assert _files(project / "results/frontier") == _files(project / "again/frontier")
    rows = [json.loads(line) for line in Path("results/frontier/linear/samples.jsonl").read_text().splitlines()]
    assert [(row["point"], row["temperature"], row["top_k"]) for row in rows] == [(0, 1.0, None)] * 4 + [
        (1, 1.0, 5)
    ] * 4
    told = json.loads(Path("results/frontier/linear/metrics.json").read_text())
    assert (told["points"], told["num_samples"], told["num_steps"]) == (2, 4, 4)
    assert json.loads(Path("results/timing/frontier/linear.json").read_text())["peak_memory_mb"] > 0


def test_speed_measures_every_arm(project: Path) -> None:
    for arm in ("linear", "spindle"):
        assert train.main(_arguments("train", arm)) == 0
    inputs = ["--train", "results/train", "--tokenize", "results/tokenize", "--information", "results/information"]
    assert speed.main([*inputs, "--out", "results/speed"]) == 0
    told = json.loads((project / "results/speed/metrics.json").read_text())
    assert {arm: [row["num_steps"] for row in rows] for arm, rows in told["arms"].items()} == {
        "linear": [2, 4],
        "spindle": [2, 4],
    }
    assert {row["runs"] for rows in told["arms"].values() for row in rows} == {1}
    assert told["num_samples"] == 2


class _Slow:
    """An arm with two numbers of steps of its own, each step a hundredth of a second."""

    vocabulary = toy_vocabulary()

    def own_steps(self, length: int) -> tuple[int, ...]:
        return 2, 400

    def sample(self, canvas: Canvas, num_steps: int, *_: Any) -> Iterator[State]:
        for step in range(num_steps):
            time.sleep(0.01)
            yield State(num_steps - step - 1, canvas.xt, step + 1)


def test_a_long_run_of_steps_of_its_own_is_stopped_and_told_in_proportion() -> None:
    settings = config.Speed(num_steps=[2], num_samples=2, length=3, repeats=2, max_seconds=0.2)
    machine = Machine(torch.device("cpu"), "float32", 1)
    slow, canvas = cast(Any, _Slow()), Canvas.blank(torch.full((2,), 3), mask_id=1, pad_id=0)
    short, long = (
        speed._measured(slow, num_steps, canvas, settings, Truncation(), machine, own=True) for num_steps in (2, 400)
    )
    assert (short["runs"], short["stopped_after_steps"]) == (2, None)
    assert long["runs"] == 1
    assert 1 <= long["stopped_after_steps"] < 400
    assert long["seconds_per_sentence"]["median"] == pytest.approx(400 * 0.01 / 2, rel=0.5)


@pytest.mark.parametrize("stage", ["train", "evaluate", "sample"])
def test_an_unknown_arm_is_named(project: Path, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = {"train": train.main, "evaluate": evaluate.main, "sample": sample.main}[stage]
    assert main(_arguments(stage, "nobody")) == 1
    error = capsys.readouterr().err.strip()
    assert error == f"error: {stage}@nobody: --arm: found 'nobody'; expected one of linear, spindle"


def test_a_changed_shard_is_refused_before_training(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = next((project / "results/tokenize/bert/shards").glob("train-*.arrow"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    assert train.main(_arguments("train", "linear")) == 1
    assert "changed since the manifest" in capsys.readouterr().err
    assert not (project / "results/train").exists()


def test_an_untrained_arm_is_not_scored(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(_arguments("evaluate", "linear")) == 1
    assert "no such folder; expected the trained model of arm linear" in capsys.readouterr().err


def test_sentences_longer_than_the_backbone_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "params.yaml").read_text()
    shards = Shards.open(project / "results/tokenize/bert/shards")
    longest = max(int(shards[split].lengths.max()) for split in ("train", "valid", "test"))
    room = f"max_position_embeddings: {longest + 1}"
    (project / "params.yaml").write_text(text.replace("max_position_embeddings: 64", room))
    assert train.main(_arguments("train", "linear")) == 1
    assert "lower tokenize.max_length" in capsys.readouterr().err


LINEAR_SETTINGS = "settings: {init: random, schedule: linear, objective: valid, num_steps: 32}"


def test_a_time_token_needs_a_position_of_the_backbone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = Shards.open(project / "results/tokenize/bert/shards")
    longest = max(int(shards[split].lengths.max()) for split in ("train", "valid", "test"))
    _change(("max_position_embeddings: 64", f"max_position_embeddings: {longest + 2}"))
    assert train.main(_arguments("train", "linear")) == 0
    _change((LINEAR_SETTINGS, LINEAR_SETTINGS.replace("}", ", time: pte}")))
    assert train.main(_arguments("train", "linear")) == 1
    error = capsys.readouterr().err
    assert f"holds sentences of {longest - 1} tokens" in error
    assert "a time token, time: pte, takes one position too" in error
    assert not list((project / ".checkpoints").glob("*/"))


@pytest.mark.parametrize("design", ["lte", "pte"])
def test_an_arm_that_is_told_the_time_from_training_to_text(project: Path, design: str) -> None:
    _change((LINEAR_SETTINGS, LINEAR_SETTINGS.replace("}", f", time: {design}}}")))
    assert train.main(_arguments("train", "linear")) == 0
    assert (project / "results/train/linear/model/time.safetensors").is_file()
    assert evaluate.main(_arguments("evaluate", "linear")) == 0
    assert sample.main(_arguments("sample", "linear")) == 0
    scored = json.loads((project / "results/evaluate/linear/metrics.json").read_text())
    assert scored["protocols"]["valid"] == scored["protocols"]["oracle"]
    # what training saw last on the valid split and what is scored here are one network's: near to each other per token
    trained = json.loads((project / "results/train/linear/metrics.json").read_text())
    shards = Shards.open(project / "results/tokenize/bert/shards")
    per_token = trained["validation_nats_per_sentence"] / shards["valid"].lengths[:8].mean()
    here = scored["protocols"]["valid"]["nats_per_sentence"]["value"] * scored["sentences"] / scored["tokens"]
    assert here == pytest.approx(per_token, rel=0.1)


def test_bert_mouth_from_training_to_text(project: Path) -> None:
    _change(("importance_samples: 2", "importance_samples: null"))
    text = Path("params.yaml").read_text().replace("system: absorbing", "system: bert_mouth", 1)
    Path("params.yaml").write_text(text.replace(LINEAR_SETTINGS, "settings: {init: random, num_steps: 32}"))
    assert train.main(_arguments("train", "linear")) == 0
    assert evaluate.main(_arguments("evaluate", "linear")) == 0
    assert sample.main(_arguments("sample", "linear")) == 0
    scored = json.loads((project / "results/evaluate/linear/metrics.json").read_text())
    assert {name: figure["schedule"] for name, figure in scored["protocols"].items()} == {
        "bound": "any order, one word at a time"
    }
    assert set(scored["orders"]) == {"linear", "spindle_0.3"}
    told = json.loads((project / "results/sample/linear/metrics.json").read_text())
    assert (told["denoiser_calls"], told["mask_left"]) == (12, 0)  # a call a word, whatever sample.num_steps is
