"""Arms of an autoregressive system through every stage, and the texts of all arms under one of them."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from workflow.profiles import merged

from diffusionbert import config
from diffusionbert.arms.build import check
from diffusionbert.corpus.folders import sha256_of_folder
from diffusionbert.denoisers import backbone
from diffusionbert.files import sha256, write_json
from diffusionbert.stages import evaluate, generative, information, sample, tokenize, train

ROOT = Path(__file__).parents[3]
GPT = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 40}


@pytest.fixture
def project(
    grammar_text: Path, grammar_shards: Path, bytes_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Three arms: a masked one, GPT with its tokenizer, and a saved GPT with a byte-level one of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(grammar_shards.parent, "results/tokenize/bert")
    shutil.copytree(grammar_text.parent, "results/corpus")
    bytes_tokenizer.save_pretrained("mine/tokenizer")
    model: Any = backbone.fresh(GPT, 300, kind="causal")
    model.save_pretrained("mine/model")
    assert _data_stage(tokenize, "bytes", "--corpus", "results/corpus", "--out", "results/tokenize/bytes") == 0
    for name in ("bert", "bytes"):
        paths = ["--tokens", f"results/tokenize/{name}", "--out", f"results/information/{name}"]
        assert _data_stage(information, name, *paths) == 0
    return tmp_path


def _params(**changes: Any) -> dict[str, Any]:
    text, _ = merged(ROOT, "engines")
    data = YAML(typ="safe", pure=True).load(text)
    data["tokenizers"]["bytes"] = {"source": "path", "name": "mine/tokenizer"}
    data["tokenizers"]["bytes"]["sha256"] = sha256_of_folder(Path("mine/tokenizer"))
    data["backbones"]["gpt"] = {"source": "fresh", "config": GPT}
    data["backbones"]["saved"] = {"source": "path", "name": "mine/model"}
    data["backbones"]["saved"]["sha256"] = sha256_of_folder(Path("mine/model"))
    row = {"system": "autoregressive", "seed": 0}
    data["arms"] = {
        "linear": data["arms"]["linear"],
        "gpt": {"label": "GPT", "tokenizer": "bert", "backbone": "gpt", "settings": {"init": "random"}} | row,
        "bytes": {"label": "GPT", "tokenizer": "bytes", "backbone": "saved", "settings": {"init": "pretrained"}} | row,
    }
    data["generative"] = {"arm": "gpt", "batch_size": 3}
    for section, values in changes.items():
        data[section] |= values
    return data


def _write_params(**changes: Any) -> None:
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(_params(**changes), file)


def _data_stage(stage: Any, tokenizer: str, *paths: str) -> int:
    _write_params()
    return int(stage.main(["--tokenizer", tokenizer, *paths]))


def _arm_stage(stage: Any, arm: str, tokenizer: str) -> int:
    name = stage.__name__.rpartition(".")[2]
    model = [] if name == "train" else ["--model", f"results/train/{arm}/model"]
    inputs = ["--tokens", f"results/tokenize/{tokenizer}", "--information", f"results/information/{tokenizer}"]
    return int(stage.main(["--arm", arm, *model, *inputs, "--out", f"results/{name}/{arm}"]))


def _judged() -> dict[str, Any]:
    names = ("corpus", "sample", "train", "tokenize", "information")
    inputs = [word for name in names for word in (f"--{name}", f"results/{name}")]
    assert generative.main([*inputs, "--out", "results/generative"]) == 0
    return dict(json.loads(Path("results/generative/metrics.json").read_text()))


def test_from_training_to_generative_perplexity(project: Path) -> None:
    for arm, tokenizer in (("linear", "bert"), ("gpt", "bert"), ("bytes", "bytes")):
        assert _arm_stage(train, arm, tokenizer) == 0
        assert _arm_stage(sample, arm, tokenizer) == 0
    for arm in ("gpt", "bytes"):
        assert _arm_stage(evaluate, arm, "bert" if arm == "gpt" else "bytes") == 0
        scored = json.loads((project / f"results/evaluate/{arm}/metrics.json").read_text())
        assert (scored["num_steps"], scored["time"], scored["importance"], scored["orders"]) == (None, None, None, {})
        assert {name: figure["exact"] for name, figure in scored["protocols"].items()} == {
            "exact": True,
            "with_end": True,
        }
        drawn = json.loads((project / f"results/sample/{arm}/metrics.json").read_text())
        assert (drawn["num_steps"], drawn["denoiser_calls"], drawn["mask_left"]) == (12, 12, 0)

    told = _judged()
    assert told["arm"] == "gpt"
    assert set(told["arms"]) == {"linear", "gpt", "bytes"}
    assert [told["arms"][arm]["retokenised"] for arm in ("linear", "gpt", "bytes")] == [False, False, True]
    assert told["real_text"]["texts"] == 8
    for row in (*told["arms"].values(), told["real_text"]):
        assert row["perplexity_per_token"]["value"] == pytest.approx(math.exp(row["nats_per_token"]["value"]))
        assert row["nats_per_token"]["low"] <= row["nats_per_token"]["value"] <= row["nats_per_token"]["high"]
        assert 0 < row["token_entropy_nats"]["value"] <= math.log(40)
        logs = [math.log(row[f"perplexity_per_{unit}"]["value"]) * row[f"{unit}s"] for unit in ("word", "token")]
        assert logs[0] == pytest.approx(logs[1])
    assert told["arms"]["gpt"]["tokens"] == 8 * 12
    first = (project / "results/generative/metrics.json").read_bytes()
    _judged()
    assert (project / "results/generative/metrics.json").read_bytes() == first


def _write_samples(path: Path, text: str) -> None:
    """Samples, and their sum as the stage sample writes it."""
    path.write_text(text)
    write_json(path.with_name("metrics.json"), {"samples_sha256": sha256(path)})


def test_the_judges_own_figure_is_found_again(project: Path) -> None:
    """Test sentences given as samples have the perplexity that evaluate reports of them."""
    assert _arm_stage(train, "gpt", "bert") == 0
    assert _arm_stage(evaluate, "gpt", "bert") == 0
    expected = json.loads(Path("results/evaluate/gpt/metrics.json").read_text())["protocols"]["exact"]
    shards = generative.Shards.open(Path("results/tokenize/bert/shards"))
    rows = [shards["test"].tokens(i).tolist() for i in range(16)]
    texts = generative.decode_tokens(shards.tokenizer_folder, rows)
    lines = [json.dumps({"text": text, "tokens": row}) for text, row in zip(texts, rows, strict=True)]
    for arm in ("linear", "gpt", "bytes"):
        Path(f"results/sample/{arm}").mkdir(parents=True)
        _write_samples(Path(f"results/sample/{arm}/samples.jsonl"), "\n".join(lines) + "\n")
    told = _judged()["arms"]
    assert told["gpt"]["perplexity_per_token"]["value"] == pytest.approx(
        expected["perplexity_per_token"]["value"], rel=1e-6
    )
    assert told["linear"] == told["gpt"]
    # WordPiece finds the same tokens in the decoded text
    assert told["bytes"] == told["gpt"] | {"retokenised": True}


def test_long_and_empty_texts_and_masks_are_told(project: Path) -> None:
    assert _arm_stage(train, "gpt", "bert") == 0
    shards = generative.Shards.open(Path("results/tokenize/bert/shards"))
    word = int(shards["test"].tokens(0)[0])
    drawn = {
        "linear": [[word, shards.special.cls_id, word]] * 4,  # which is no word of a text
        "gpt": [[word] * 50, [word] * 5, [word] * 5, [word] * 5],
        "bytes": [[word], [word], [word], []],
    }
    for arm, rows in drawn.items():
        texts = generative.decode_tokens(shards.tokenizer_folder, rows)
        lines = [json.dumps({"text": text, "tokens": row}) for text, row in zip(texts, rows, strict=True)]
        Path(f"results/sample/{arm}").mkdir(parents=True)
        _write_samples(Path(f"results/sample/{arm}/samples.jsonl"), "\n".join(lines) + "\n")
    told = _judged()["arms"]
    assert told["linear"]["retokenised"]
    assert (told["gpt"]["truncated"], told["gpt"]["tokens"]) == (1, 39 + 15)
    assert (told["bytes"]["empty"], told["bytes"]["texts"]) == (1, 3)
    assert told["gpt"]["token_entropy_nats"]["value"] == 0


def test_a_mask_that_is_left_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    _write_samples(path, json.dumps({"text": "a [MASK] text", "tokens": [7, 4, 7]}) + "\n")
    with pytest.raises(ValueError, match=r"samples\.jsonl: line 1 has a \[MASK\] left"):
        generative.read_samples(path)
    assert len(generative.read_samples(path, mask_is_told=True)) == 1


def test_without_a_judge_nothing_is_scored(project: Path) -> None:
    _write_params(generative={"arm": None})
    assert _judged() == {"arm": None, "arms": {}}


@pytest.mark.parametrize(
    ("name", "message"),
    [("nobody", "generative.arm is 'nobody', expected one of arms"), ("linear", "generative.arm: found 'linear'")],
)
def test_the_judge_is_an_autoregressive_arm(project: Path, name: str, message: str) -> None:
    with pytest.raises(config.ConfigError) as error:
        check(config.parse(_params(generative={"arm": name})))
    assert message in str(error.value)


@pytest.mark.parametrize("text", [None, "", "not json\n", '{"text": "a"}\n'])
def test_samples_that_are_none_are_told(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "samples.jsonl"
    if text is not None:
        _write_samples(path, text)
    with pytest.raises(ValueError, match=r"samples\.jsonl: .*expected"):
        generative.read_samples(path)


def test_one_other_letter_of_the_samples_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    _write_samples(path, '{"text": "a cat", "tokens": [7]}\n')
    assert len(generative.read_samples(path)) == 1
    path.write_text('{"text": "a cut", "tokens": [7]}\n')
    with pytest.raises(
        ValueError, match=r"samples\.jsonl: changed since it was written: sha256 .*; expected [0-9a-f]{64}"
    ):
        generative.read_samples(path)
    write_json(tmp_path / "metrics.json", {"arm": "a"})
    with pytest.raises(ValueError, match=r"metrics\.json: no 'samples_sha256'; expected the sum of samples\.jsonl"):
        generative.read_samples(path)


def test_a_masked_system_needs_a_mask(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = _params()
    data["arms"]["linear"]["tokenizer"] = "bytes"
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(data, file)
    assert _arm_stage(train, "linear", "bytes") == 1
    assert "arms.linear.tokenizer: 'bytes' has no mask token; expected a masked LM's" in capsys.readouterr().err


@pytest.mark.parametrize("backbone_of", ["tiny", "gpt"])
def test_backbones_of_the_other_kind_are_told(
    project: Path, capsys: pytest.CaptureFixture[str], backbone_of: str
) -> None:
    data = _params()
    arm, expected = ("gpt", "no causal LM has") if backbone_of == "tiny" else ("linear", "no masked LM has")
    data["arms"][arm]["backbone"] = backbone_of
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(data, file)
    assert _arm_stage(train, arm, "bert") == 1
    err = capsys.readouterr().err
    assert expected in err
    assert np.char.count(err.strip(), "\n") == 0
