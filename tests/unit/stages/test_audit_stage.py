from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from workflow import profiles

from diffusionbert.stages import audit
from diffusionbert.tables import write_table

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Params of the profile `engines`, smaller still, and an information table of four tokens and [PAD]."""
    text, _ = profiles.merged(ROOT, "engines")
    data = YAML(typ="safe", pure=True).load(text)
    data["audit"]["network"] |= {"steps": 2, "test_sentences": 4}
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(data, file)
    folder = tmp_path / "information" / "bert"
    folder.mkdir(parents=True)
    table = {"count": [0, 40, 30, 20, 10], "probability": [0.0, 0.4, 0.3, 0.2, 0.1]}
    write_table(folder / "table.parquet", table)
    return tmp_path


def run(folder: Path) -> int:
    paths = {"params": folder / "params.yaml", "information": folder / "information", "out": folder / "out"}
    return audit.main([word for name, path in paths.items() for word in (f"--{name}", str(path))])


def test_the_stage_flags_what_is_no_bound_and_writes_the_same_bytes_again(run_folder: Path) -> None:
    assert run(run_folder) == 0
    first = {path.name: path.read_bytes() for path in (run_folder / "out").iterdir()}
    assert set(first) == {"metrics.json", "excess.csv"}
    metrics = json.loads(first["metrics.json"])
    assert {"oracle@0.3", "released@0.3"} <= set(metrics["not_a_bound"])
    assert set(metrics["sources"]) == {"zipf_1.1_100", "unigram_bert"}
    assert metrics["sources"]["unigram_bert"]["corpus_tokens"] == 100
    assert set(metrics["trained"]) == {"linear", "valid", "oracle", "released"}
    valid = [row for row in metrics["closed_form"] if (row["protocol"], row["denoiser"]) == ("valid", "true_posterior")]
    assert [row["excess_nats_per_token"] for row in valid] == [0.0] * len(valid)
    assert first["excess.csv"].decode().splitlines()[0] == "line,spindle_lambda,excess_nats_per_token"
    assert run(run_folder) == 0
    assert {path.name: path.read_bytes() for path in (run_folder / "out").iterdir()} == first


def test_a_flagged_bound_fails_the_stage_in_one_line(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("diffusionbert.audit.findings.valid_nats", lambda source, *_: source.entropy - 0.5)
    assert run(run_folder) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "valid@0, true_posterior, zipf_1.1_100: 0.5 nats per token below the entropy" in line
    assert not (run_folder / "out").exists()


@pytest.mark.parametrize(("damage", "words"), [("missing", "no such file"), ("damaged", "not a table of token")])
def test_a_bad_information_table_is_named(
    run_folder: Path, capsys: pytest.CaptureFixture[str], damage: str, words: str
) -> None:
    path = run_folder / "information" / "bert" / "table.parquet"
    path.unlink()
    if damage == "damaged":
        path.write_bytes(b"no parquet")
    assert run(run_folder) == 1
    assert f"{path}: {words}" in capsys.readouterr().err


def test_a_table_without_its_columns_is_named(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_folder / "information" / "bert" / "table.parquet"
    write_table(path, {"count": [1]})
    assert run(run_folder) == 1
    assert f"{path}: no column 'probability'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"corpus_tokens": [1]},
            "audit.corpus_tokens: found 1; expected a corpus that has some token of 'zipf_1.1_100'",
        ),
        ({"network": {"length": 4000}}, "audit.network.length: found 4000; its backbone holds at most"),
    ],
    ids=["too small a corpus", "too long a sentence"],
)
def test_settings_that_cannot_be_audited_are_one_line(
    run_folder: Path, change: dict, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_folder / "params.yaml"
    data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    for key, value in change.items():
        data["audit"][key] = data["audit"][key] | value if isinstance(value, dict) else value
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(data, file)
    assert run(run_folder) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert message in line
