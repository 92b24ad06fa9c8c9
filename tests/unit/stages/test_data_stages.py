"""The four data stages, run one after the other on the generated corpus, and what they do with bad input."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from diffusionbert.config import read_yaml
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.special import Special
from diffusionbert.files import read_json
from diffusionbert.stages import corpus, information, spindle, tokenize

ROOT = Path(__file__).parents[3]
Run = Callable[..., int]


@pytest.fixture
def params(tmp_path: Path) -> Callable[..., Path]:
    """Writes the default params with the generated corpus, a trained tokenizer and a test's changes."""

    def write(**changes: Any) -> Path:
        values = read_yaml(ROOT / "profiles" / "default.yaml")
        values["corpus"] |= {
            "source": "grammar",
            "grammar": {"num_documents": 60, "num_words": 150, "seed": 0},
            "valid_share": 0.1,
            "test_share": 0.2,
        }
        values["tokenizers"] = {"bert": {"source": "train", "vocab_size": 300}}
        values["spindle"]["example"] = "The the, and of every. Every the."
        for section, change in changes.items():
            values[section] |= change
        path = tmp_path / "params.yaml"
        YAML(typ="safe").dump(values, path)
        return path

    return write


def _run(stage: Any, params: Path, results: Path) -> int:
    places = {
        "corpus": ["--out", results / "corpus"],
        "tokenize": ["--corpus", results / "corpus", "--out", results / "tokenize"],
        "information": ["--tokens", results / "tokenize", "--out", results / "information"],
        "spindle": [
            *["--tokens", results / "tokenize", "--information", results / "information"],
            *["--out", results / "spindle"],
        ],
    }
    name = stage.__name__.rsplit(".", 1)[1]
    instance = [] if name == "corpus" else ["--tokenizer", "bert"]
    status: int = stage.main(["--params", str(params), *map(str, places[name]), *instance])
    return status


def test_the_four_stages(params: Callable[..., Path], tmp_path: Path) -> None:
    path = params()
    for stage in (corpus, tokenize, information, spindle):
        assert _run(stage, path, tmp_path) == 0
    special = Shards.open(tmp_path / "tokenize" / "shards").special
    _check_tokenize(tmp_path)
    _check_information(tmp_path, special)
    _check_spindle(tmp_path, special)


def _check_tokenize(results: Path) -> None:
    text, tokens = (
        read_json(results / "corpus" / "metrics.json"),
        read_json(results / "tokenize" / "metrics.json"),
    )
    assert tokens["sentences"] == text["sentences"]
    assert tokens["words"] == text["words"], "nothing is truncated at 128"
    assert tokens["vocab_size"] == 300
    assert tokens["tokens_per_word"]["test"] == tokens["tokens"]["test"] / tokens["words"]["test"] >= 1


def _check_information(results: Path, special: Special) -> None:
    metrics = read_json(results / "information" / "metrics.json")
    table = pq.read_table(results / "information" / "table.parquet")
    assert metrics["train_tokens"] == read_json(results / "tokenize" / "metrics.json")["tokens"]["train"]
    assert metrics["candidates"] == 300 - len(special.not_candidates) == 296
    assert 0 < metrics["entropy_nats"] < metrics["mean_information_nats"] < np.log(296)
    assert np.sum(table["probability"].to_numpy()) == pytest.approx(1)
    rows = list(csv.DictReader((results / "information" / "zipf.csv").open()))
    assert int(rows[0]["count"]) == table["count"].to_numpy().max()


def _check_spindle(results: Path, special: Special) -> None:
    metrics = read_json(results / "spindle" / "metrics.json")
    table = pq.read_table(results / "spindle" / "table.parquet").to_pydict()
    assert not set(table["token_id"]) & set(special.not_candidates)
    assert metrics["max_relative_information"] == max(table["relative_information"]) < 1
    clipped = [h for h, is_clipped in zip(table["relative_information"], table["clipped"], strict=True) if is_clipped]
    smooth = [
        h for h, is_clipped in zip(table["relative_information"], table["clipped"], strict=True) if not is_clipped
    ]
    limit = 1 / (0.3 * 512 * np.sin(np.pi / 512))  # a curve leaves [0, 1] where |H~| is above it
    assert all(abs(h) >= limit for h in clipped)
    assert all(abs(h) < limit for h in smooth)
    rows = list(csv.DictReader((results / "spindle" / "curves.csv").open()))
    curves: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        curves.setdefault(row["token"], []).append(row)
    assert next(iter(curves)) == "the", "in the sentence's order"
    for curve in curves.values():
        assert len(curve) == 65
        alpha_bar = [float(row["alpha_bar"]) for row in curve]
        assert (alpha_bar[0], alpha_bar[-1]) == (1, 0)
        assert alpha_bar == sorted(alpha_bar, reverse=True)
    # under the sentence's own mean some tokens tell more than it, some less
    relative = [float(curve[0]["relative_information"]) for curve in curves.values()]
    assert min(relative) < 0 < max(relative)


def test_lambda_0_is_linear_and_clips_nothing(params: Callable[..., Path], tmp_path: Path) -> None:
    path = params(spindle={"spindle_lambda": 0.0})
    for stage in (corpus, tokenize, information, spindle):
        assert _run(stage, path, tmp_path) == 0
    assert read_json(tmp_path / "spindle" / "metrics.json")["clipped_token_share"] == 0
    for row in csv.DictReader((tmp_path / "spindle" / "curves.csv").open()):
        assert float(row["alpha_bar"]) == pytest.approx(1 - int(row["t"]) / 512, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"source": "files", "files": {"paths": ["corpora/nowhere.txt"]}},
            "error: corpus: corpora/nowhere.txt: no such file",
        ),
        ({"cleaning": {"min_words": 119}}, "error: corpus: corpus.grammar: no sentence left after cleaning"),
        ({"valid_share": 1e-9}, "error: corpus: corpus: split 'valid' has no documents"),
    ],
)
def test_bad_input_is_one_line(
    params: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Any, message: str
) -> None:
    assert _run(corpus, params(corpus=change), tmp_path) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(told) == 1
    assert told[0].startswith(message)
    assert not (tmp_path / "corpus" / "text").exists()


def test_stages_before_their_input_say_what_is_missing(
    params: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in (tokenize, information, spindle):
        assert _run(stage, params(), tmp_path) == 1
    told = capsys.readouterr().err
    assert "no file train-00000-of-*.txt; run the corpus stage first" in told
    assert told.count("manifest.json: no such file") == 2


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_one_other_letter_of_the_corpus_is_not_tokenized(
    params: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    assert _run(corpus, params(), tmp_path) == 0
    path = tmp_path / "corpus" / "text" / f"{split}-00000-of-00001.txt"
    path.write_text(path.read_text().replace("e", "a", 1))
    assert _run(tokenize, params(), tmp_path) == 1
    assert f"error: tokenize@bert: {path}: changed since it was written: sha256 " in capsys.readouterr().err
    assert not (tmp_path / "tokenize").exists()


def test_an_unknown_tokenizer_is_named(
    params: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--corpus", str(tmp_path), "--out", str(tmp_path / "x")]
    assert tokenize.main(["--params", str(params()), "--tokenizer", "other", *out]) == 1
    assert "--tokenizer other: expected one of tokenizers: bert" in capsys.readouterr().err
