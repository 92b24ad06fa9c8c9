"""The stage pairs on a corpus and candidates of the test's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from diffusionbert.files import sha256, sum_key, write_json, write_sums, write_text
from diffusionbert.stages.pairs import NUM_EXAMPLES, main

ARMS = ("linear", "spindle", "gpt")
PLACES = ["the old house", "a green hill", "the river bank", "that small town", "his long road"]
PARAMS = """
profile: synthetic
runtime: {}
packages: {}
corpus:
  source: pairs
  pairs: {task: files, paths: {train: corpora/a.jsonl, valid: corpora/b.jsonl, test: corpora/c.jsonl}}
tokenizers: {bert: {source: train, vocab_size: 99}}
tokenize: {max_length: 24, max_target: 12, target_length: padded}
information: {}
spindle: {spindle_lambda: 0.3, num_steps: 8, example: a cat}
backbones: {tiny: {source: fresh, config: {}}}
train: {steps: 1, batch_size: 1, learning_rate: 1.0e-3, lr_warmup_steps: 0}
arms:
  linear: {label: Linear, tokenizer: bert, system: absorbing, backbone: tiny}
  spindle: {label: Spindle, baseline: linear, tokenizer: bert, system: absorbing, backbone: tiny}
  gpt: {label: GPT, tokenizer: bert, system: autoregressive, backbone: tiny}
evaluate: {num_sentences: 5, num_strata: 2}
sample: {num_samples: 6, length: 8, num_steps: 4, pairs: {num_sources: 5, num_candidates: 3}}
frontier: {arms: [linear], temperatures: [0.5], top_ks: [5], num_samples: 4, length: 8, num_steps: 4}
metrics: {bootstrap: 20}
speed: {num_steps: [2], num_samples: 2, length: 8}
audit:
  zipf: [{vocab_size: 9, exponent: 1.0}]
  num_steps: 2
  lambdas: [0.0]
  corpus_tokens: [9]
  network:
    {vocab_size: 9, exponent: 1.0, length: 2, num_steps: 2, spindle_lambda: 0.3, backbone: {}, steps: 1,
     batch_size: 1, learning_rate: 1.0e-3, test_sentences: 2, num_strata: 2}
report: {title: T}
"""


def row(arm: str, number: int, place: str) -> dict[str, Any]:
    """GPT says the same thing three times; the others vary, and the spindle arm is nearer to the reference."""
    variants = [f"he went unto {place} .", f"and he saw {place} .", f"behold , {place} !"]
    if arm == "gpt":
        variants = [variants[0]] * 3
    if arm == "spindle":
        variants = [f"he went to {place} .", f"he went to {place} today .", f"so he went to {place} ."]
    return {
        "index": number,
        "source": f"And he went unto {place}.",
        "target": f"He went to {place}.",
        "candidates": variants,
        "lengths": [6, 6, 6],
        "seed": 0,
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_text(tmp_path / "params.yaml", PARAMS)
    lines = "".join(f"And they came unto {place}.\tThey came to {place}.\n" for place in PLACES)
    write_text(tmp_path / "corpus" / "text" / "train-00000-of-00001.txt", lines)
    write_sums(tmp_path / "corpus" / "text")
    for arm in ARMS:
        write(tmp_path, arm, [row(arm, number, place) for number, place in enumerate(PLACES)])
    return tmp_path


def write(results: Path, arm: str, rows: list[Any]) -> None:
    path = results / "sample" / arm / "candidates.jsonl"
    write_text(path, "".join(f"{json.dumps(each)}\n" for each in rows))
    write_json(path.with_name("metrics.json"), {sum_key(path): sha256(path)})


def change(results: Path, **changes: Any) -> None:
    params = YAML(typ="safe").load(PARAMS)
    for section, values in changes.items():
        params.setdefault(section, {}).update(values)
    with (results / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(params, file)


def run(results: Path) -> int:
    paths = [f"--{name}={results / name}" for name in ("corpus", "sample", "out")]
    return main([*paths, f"--params={results / 'params.yaml'}"])


def found(results: Path) -> dict[str, Any]:
    assert run(results) == 0
    told: dict[str, Any] = json.loads((results / "out" / "metrics.json").read_text())
    return told


def test_arms_and_baselines_are_scored_and_compared(results: Path) -> None:
    told = found(results)
    assert (told["task"], told["sources"], told["candidates"], told["rule"]) == ("files", 5, 3, "mbr")
    assert list(told["arms"]) == sorted(ARMS)
    assert told["arms"]["spindle"]["bleu"]["value"] > told["arms"]["linear"]["bleu"]["value"]
    assert told["arms"]["gpt"]["self_bleu"]["value"] == pytest.approx(1.0)
    assert told["arms"]["gpt"]["div_4"]["value"] == pytest.approx(1 / 3)
    assert set(told["arms"]["gpt"]) - {"bertscore"} >= set(told["signature"])
    pairs = {(each["one"], each["other"]) for each in told["contrasts"]}
    assert len(pairs) == 10
    apart = next(each for each in told["contrasts"] if (each["one"], each["other"]) == ("linear", "gpt"))
    assert apart["self_bleu"]["high"] < 0 < apart["div_4"]["low"]
    assert (told["seeds"], told["spread"]) == ({}, [])


def test_the_baselines_copy_the_source_and_take_the_nearest_train_target(results: Path) -> None:
    told = found(results)
    example = told["examples"][3]
    assert example["source"] == "And he went unto that small town."
    assert example["answers"]["nearest"] == "They came to that small town."
    assert set(example["answers"]) == {*ARMS, "nearest"}
    assert "self_bleu" not in told["baselines"]["copy"]
    assert told["baselines"]["nearest"]["self_bleu"]["value"] > 0
    assert len(told["examples"]) == min(5, NUM_EXAMPLES)
    assert set(told["references"]) == {"distinct_1", "mean_words", "diffuseq_dist_1"}


@pytest.mark.parametrize("copied", [0, 1, 5])
def test_near_copies_in_train_are_counted_and_left_out_once(results: Path, copied: int) -> None:
    targets = ["He went to {}."] * copied + ["Nobody was ever seen near {}."] * (5 - copied)
    lines = [f"And he went unto {place}.\t{target}" for place, target in zip(PLACES, targets, strict=True)]
    write_text(
        results / "corpus" / "text" / "train-00000-of-00001.txt",
        "".join(f"{line.format(place)}\n" for line, place in zip(lines, PLACES, strict=True)),
    )
    write_sums(results / "corpus" / "text")
    told = found(results)
    nearest, near = told["baselines"]["nearest"], told["near_copies"]
    assert (near["sources"], near["least_bleu"]) == (copied, 0.5)
    assert set(near["bleu"]) == ({*ARMS, "copy", "nearest"} if copied < 5 else set())
    if copied == 0:
        assert near["bleu"]["nearest"] == nearest["bleu"]
    if copied == 1:
        assert near["bleu"]["nearest"]["value"] == pytest.approx((5 * nearest["bleu"]["value"] - 1) / 4)
        assert nearest["median_bleu"] < nearest["bleu"]["value"]


def test_every_source_of_every_system_has_a_row(results: Path) -> None:
    told = found(results)
    table = pq.read_table(results / "out" / "sources.parquet").to_pydict()
    assert len(table["system"]) == 5 * 5
    of_spindle = [bleu for name, bleu in zip(table["system"], table["bleu"], strict=True) if name == "spindle"]
    assert sum(of_spindle) / 5 == pytest.approx(told["arms"]["spindle"]["bleu"]["value"])
    assert table["self_bleu"][table["system"].index("copy")] is None
    assert table["bertscore"] == [None] * 25


def test_the_releases_choice_is_named(results: Path) -> None:
    change(results, pairs={"as_released": True})
    told = found(results)
    assert told["rule"] == "released"
    assert "it itself" in told["signature"]["bleu"]["note"]


def test_the_same_results_are_the_same_bytes(results: Path) -> None:
    contents = []
    for _ in range(2):
        assert run(results) == 0
        contents.append([(results / "out" / name).read_bytes() for name in ("metrics.json", "sources.parquet")])
    assert contents[0] == contents[1]


def test_without_pairs_there_is_nothing_to_score(results: Path) -> None:
    change(results, corpus={"source": "grammar", "grammar": {"num_documents": 2, "num_words": 9}, "pairs": None})
    params = YAML(typ="safe").load((results / "params.yaml").read_text())
    params["corpus"] |= {"valid_share": 0.1, "test_share": 0.1}
    params["tokenize"] = {}
    del params["sample"]["pairs"]
    with (results / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(params, file)
    assert found(results) == {"task": None, "arms": {}, "baselines": {}}
    assert pq.read_table(results / "out" / "sources.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ([], "no rows; expected one for every source"),
        ([{"source": "a", "target": "b"}], "expected one JSON object a line with the keys"),
        ([{"source": "a", "target": "b", "candidates": "c"}], "line 1: candidates are 'c'; expected a list of texts"),
        ([{"source": "a", "target": "b", "candidates": []}], "line 1 has 0 candidates; expected one at least"),
        ([{"source": "a", "target": 1, "candidates": ["c"]}], "line 1: target is 1; expected a text"),
        ([{"source": "a", "target": "b", "candidates": ["x [MASK]"]}], r"line 1 has a \[MASK\] left"),
        (
            [{"source": "a", "target": "b", "candidates": ["c"] * number} for number in (2, 1)],
            "line 2 has 1 candidates; expected 2 as on line 1",
        ),
        ([row("gpt", 0, "another place")], "answered different sources; expected the same"),
    ],
)
def test_a_fault_in_the_candidates_is_one_line_with_the_file(
    results: Path, broken: list[Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    write(results, "gpt", broken)
    assert run(results) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(said, told)
    assert "gpt/candidates.jsonl" in told
    assert not (results / "out").exists()
