"""The stage metrics on a corpus, samples and nats of the test's own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from diffusionbert.files import sha256, write_json, write_sums, write_text
from diffusionbert.stages.metrics import main
from diffusionbert.tables import write_table

SENTENCES = [f"the cat number {row} sat on the mat , and it purred ." for row in range(12)]
ARMS = ("one", "two")
PARAMS = """
profile: synthetic
runtime: {}
packages: {}
corpus: {source: grammar, grammar: {num_documents: 2, num_words: 9}, valid_share: 0.1, test_share: 0.1}
tokenizers: {bert: {source: train, vocab_size: 99}}
tokenize: {}
information: {}
spindle: {spindle_lambda: 0.3, num_steps: 8, example: a cat}
backbones: {tiny: {source: fresh, config: {}}}
train: {steps: 1, batch_size: 1, learning_rate: 1.0e-3, lr_warmup_steps: 0}
arms:
  one: {label: One, tokenizer: bert, system: absorbing, backbone: tiny}
  two:
    {label: Two, baseline: one, tokenizer: bert, system: absorbing, backbone: tiny,
     settings: {schedule: spindle}}
evaluate: {num_sentences: 5, num_strata: 2}
sample: {num_samples: 6, length: 8, num_steps: 4}
frontier: {arms: [one], temperatures: [0.5, 1.0], top_ks: [5], num_samples: 4, length: 8, num_steps: 4}
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


def write_nats(path: Path, **columns: list[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {"sentence": [0, 1, 2], "words": [10, 10, 20], "tokens": [12, 12, 24]} | columns
    write_table(path, table)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_text(tmp_path / "params.yaml", PARAMS)
    for split, rows in (("valid", SENTENCES[:6]), ("test", SENTENCES[6:])):
        write_text(tmp_path / "corpus" / "text" / f"{split}-00000-of-00001.txt", "\n".join(rows) + "\n")
    for arm in ARMS:
        lines = [json.dumps({"index": row, "text": f"{arm} cat {row} sat on the mat ."}) for row in range(6)]
        write_text(tmp_path / "sample" / arm / "samples.jsonl", "\n".join(lines) + "\n")
    points = [(0, 0.5, None), (1, 1.0, None), (2, 1.0, 5)]
    rows = [
        {"point": point, "temperature": temperature, "top_k": top_k, "text": f"one cat {row} sat on {point} mats ."}
        for point, temperature, top_k in points
        for row in range(4)
    ]
    write_text(tmp_path / "frontier/one/samples.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    spindle = {"order_spindle_0.3": [31.0, 41.0, 51.0]}
    write_nats(tmp_path / "evaluate" / "one" / "sentences.parquet", valid=[30.0, 40.0, 50.0])
    write_nats(
        tmp_path / "evaluate" / "two" / "sentences.parquet",
        valid=[28.0, 38.0, 48.0],
        released=[27.0, 37.0, 47.0],
        order_linear=[30.0, 40.0, 50.0],
        **spindle,
    )
    return tmp_path


def sealed(results: Path) -> None:
    """The sums that the stages before write with what this one reads."""
    if (results / "corpus" / "text").is_dir():
        write_sums(results / "corpus" / "text")
    for path in (*results.glob("sample/*/samples.jsonl"), *results.glob("frontier/*/samples.jsonl")):
        write_json(path.with_name("metrics.json"), {"samples_sha256": sha256(path)})


def run(results: Path, seal: bool = True) -> int:
    if seal:
        sealed(results)
    paths = [f"--{name}={results / name}" for name in ("corpus", "evaluate", "sample", "frontier", "train", "out")]
    return main([*paths, f"--params={results / 'params.yaml'}"])


def test_scores_pairs_and_orders_are_written(results: Path) -> None:
    assert run(results) == 0
    found = json.loads((results / "out" / "metrics.json").read_text())
    assert set(found["arms"]) == set(ARMS)
    assert found["references"] == 6
    assert found["arms"]["one"]["samples"] == 3
    assert found["real_text"]["samples"] == 3
    assert found["real_text"]["bleu4"]["value"] > found["arms"]["one"]["bleu4"]["value"]
    assert found["paired"]["two"]["baseline"] == "one"
    figures = found["paired"]["two"]["figures"]
    assert set(figures) == {"valid", "released_against_valid"}  # what both have, and the paper's comparison
    published = figures["released_against_valid"]
    assert published["difference_nats_per_sentence"]["value"] == pytest.approx(-3.0)
    assert figures["valid"]["difference_nats_per_sentence"]["value"] == pytest.approx(-2.0)
    assert figures["valid"]["perplexity_per_word_ratio"]["value"] == pytest.approx(np.exp(-6 / 40))
    effect = found["orders"]["two"]["order_spindle_0.3"]
    assert effect["difference_nats_per_sentence"]["value"] == pytest.approx(1.0)
    assert set(found["orders"]) == {"two"}


def test_every_pair_of_arms_is_compared_once(results: Path) -> None:
    assert run(results) == 0
    found = json.loads((results / "out" / "metrics.json").read_text())
    (row,) = found["contrasts"]
    assert (row["one"], row["other"], row["figure_one"], row["figure_other"]) == ("one", "two", "valid", "valid")
    assert row["difference_nats_per_sentence"]["value"] == pytest.approx(2.0)
    assert row["perplexity_per_word_ratio"]["value"] == pytest.approx(np.exp(6 / 40))
    (texts,) = found["text_contrasts"]
    bleu = [found["arms"][arm]["bleu4"]["value"] for arm in ARMS]
    assert texts["bleu4"]["value"] == pytest.approx(bleu[0] - bleu[1])
    assert texts["bleu4"]["low"] <= texts["bleu4"]["value"] <= texts["bleu4"]["high"]
    assert (found["seeds"], found["spread"]) == ({}, [])


def test_every_point_of_a_frontier_is_scored_beside_real_text(results: Path) -> None:
    assert run(results) == 0
    found = json.loads((results / "out" / "metrics.json").read_text())
    points = found["frontier"]["one"]
    assert [(point["temperature"], point["top_k"]) for point in points] == [(0.5, None), (1.0, None), (1.0, 5)]
    assert {point["samples"] for point in points} == {4}
    assert points[0]["self_bleu4"]["value"] > 0
    assert found["frontier_real_text"]["samples"] == 3  # half of the valid split, which has no more
    assert found["signature"]["frontier_self_bleu4"]["references"] == 3


def test_references_may_keep_their_capitals_as_the_release_has_them(results: Path) -> None:
    test = results / "corpus" / "text" / "test-00000-of-00001.txt"
    test.write_text(test.read_text().replace("the cat", "The Cat"))
    scores = {}
    for case in ("lower", "released"):
        write_text(results / "params.yaml", PARAMS.replace("bootstrap: 20", f"bootstrap: 20, case: {case}"))
        assert run(results) == 0
        found = json.loads((results / "out" / "metrics.json").read_text())
        scores[case] = found["real_text"]["bleu4"]["value"]
        assert {found["signature"][name]["case"] for name in ("bleu4", "real_text", "frontier_bleu4")} == {case}
        assert found["signature"]["self_bleu4"]["case"] == "lower"  # samples against samples
    assert scores["released"] < scores["lower"]


def test_a_pretrained_arm_is_raced_against_its_random_twin(results: Path) -> None:
    text = PARAMS.replace("backbone: tiny}", "backbone: tiny, settings: {init: random}}")
    write_text(results / "params.yaml", text.replace("{schedule: spindle}", "{init: pretrained}"))
    for arm, nats in (("one", [9.0, 8.0, 7.0, 6.0]), ("two", [8.0, 7.0, 3.0, 2.0])):
        columns = {"step": [0, 0, 10, 10], "sentence": [0, 1, 0, 1], "nats": nats}
        (results / "train" / arm).mkdir(parents=True)
        write_table(results / "train" / arm / "validation.parquet", columns)
    assert run(results) == 0
    (row,) = json.loads((results / "out" / "metrics.json").read_text())["races"]
    assert (row["pretrained"], row["random"], row["step"], row["is_scored"]) == ("two", "one", 3.0, False)
    assert row["against_random"]["value"] == pytest.approx((8 + 7) / 2 - 0.3 * 5 - 6.5)
    assert row["against_itself"]["value"] == pytest.approx(0.7 * 5)


def test_seeds_of_a_row_and_its_difference_from_its_baseline(results: Path) -> None:
    text = (results / "params.yaml").read_text()
    rows = "".join(
        f"  {name}_{seed}:\n    {{label: L, tokenizer: bert, system: absorbing, backbone: tiny, seed: {seed}, "
        f"replicate_of: {name}, settings: {settings}}}\n"
        for name, settings in (("one", "{}"), ("two", "{schedule: spindle}"))
        for seed in (1, 2)
    )
    write_text(results / "params.yaml", text.replace("evaluate: {num", f"{rows}evaluate: {{num"))
    for name in ARMS:
        for seed in (1, 2):
            shutil.copytree(results / "sample" / name, results / "sample" / f"{name}_{seed}")
            nats = [28.0 + seed * (1 if name == "one" else 3), 38.0, 48.0]
            write_nats(results / "evaluate" / f"{name}_{seed}" / "sentences.parquet", valid=nats)
    assert run(results) == 0
    found = json.loads((results / "out" / "metrics.json").read_text())
    assert set(found["seeds"]) == set(ARMS)
    assert found["seeds"]["one"]["seeds"] == [0, 1, 2]
    assert found["seeds"]["one"]["nats_per_sentence"]["values"] == pytest.approx([40.0, 115 / 3, 116 / 3])
    assert found["seeds"]["one"]["perplexity_per_word"]["max"] == pytest.approx(np.exp(120 / 40))
    (spread,) = found["spread"]
    assert (spread["one"], spread["other"], spread["seeds"]) == ("two", "one", [0, 1, 2])
    assert spread["difference_nats_per_sentence"]["values"] == pytest.approx([-2.0, 2 / 3, 4 / 3])
    assert spread["perplexity_per_word_ratio"]["values"][0] == pytest.approx(np.exp(-6 / 40))
    assert len(found["contrasts"]) == 1  # replicates are seeds of a row, no rows


def test_the_same_input_gives_the_same_bytes(results: Path) -> None:
    run(results)
    first = (results / "out" / "metrics.json").read_bytes()
    run(results)
    assert (results / "out" / "metrics.json").read_bytes() == first


@pytest.mark.parametrize(
    "name",
    [
        "sample/two/samples.jsonl",
        "frontier/one/samples.jsonl",
        "corpus/text/test-00000-of-00001.txt",
        "corpus/text/valid-00000-of-00001.txt",
    ],
)
def test_one_other_letter_is_noticed(results: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    sealed(results)
    path = results / name
    write_text(path, path.read_text().replace("cat", "cut", 1))
    assert run(results, seal=False) == 1
    (told,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert f"error: metrics: {path}: changed since it was written: sha256 " in told
    assert not (results / "out").exists()


def break_samples(results: Path) -> None:
    write_text(results / "sample" / "two" / "samples.jsonl", "")


def break_a_line(results: Path) -> None:
    write_text(results / "sample" / "two" / "samples.jsonl", '{"txt": 1}\n' * 6)


def leave_a_mask(results: Path) -> None:
    write_text(results / "sample" / "two" / "samples.jsonl", '{"text": "a [MASK] b"}\n' * 6)


def mask_on_the_frontier(results: Path) -> None:
    row = {"point": 0, "temperature": 1.0, "top_k": None, "text": "[MASK]"}
    write_text(results / "frontier" / "one" / "samples.jsonl", f"{json.dumps(row)}\n" * 6)


def no_frontier(results: Path) -> None:
    (results / "frontier" / "one" / "samples.jsonl").unlink()


def empty_frontier(results: Path) -> None:
    write_text(results / "frontier" / "one" / "samples.jsonl", "")


def uneven_frontier(results: Path) -> None:
    path = results / "frontier" / "one" / "samples.jsonl"
    write_text(path, "".join(path.read_text().splitlines(keepends=True)[:-1]))


def other_number(results: Path) -> None:
    write_text(results / "sample" / "two" / "samples.jsonl", '{"text": "a"}\n' * 4)


def no_samples(results: Path) -> None:
    (results / "sample" / "two" / "samples.jsonl").unlink()


def no_text(results: Path) -> None:
    (results / "corpus" / "text" / "test-00000-of-00001.txt").unlink()


def empty_text(results: Path) -> None:
    write_text(results / "corpus" / "text" / "test-00000-of-00001.txt", "\n")


def no_nats(results: Path) -> None:
    (results / "evaluate" / "one" / "sentences.parquet").unlink()


def no_parquet(results: Path) -> None:
    write_text(results / "evaluate" / "one" / "sentences.parquet", "not parquet")


def nan_nats(results: Path) -> None:
    write_nats(results / "evaluate" / "two" / "sentences.parquet", valid=[1.0, float("nan"), 2.0])


def other_sentences(results: Path) -> None:
    write_nats(results / "evaluate" / "one" / "sentences.parquet", valid=[1.0, 2.0, 3.0], sentence=[0, 1, 5])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_samples, "two/samples.jsonl: 0 samples; expected at least 4"),
        (break_a_line, "two/samples.jsonl: KeyError('text'); expected one JSON object a line"),
        (leave_a_mask, "two/samples.jsonl: line 1 has a [MASK] left; expected none"),
        (mask_on_the_frontier, "frontier/one/samples.jsonl: line 1 has a [MASK] left"),
        (no_frontier, "frontier/one/samples.jsonl: no such file"),
        (empty_frontier, "frontier/one/samples.jsonl: 0 samples of 0 points; expected at least 2 of every point"),
        (uneven_frontier, "different numbers of samples: {'one/0': 4, 'one/1': 4, 'one/2': 3}"),
        (other_number, "different numbers of samples"),
        (no_samples, "two/samples.jsonl: no such file"),
        (no_text, "no test-*-of-*.txt"),
        (empty_text, "the test split is empty"),
        (no_nats, "one/sentences.parquet: no such file"),
        (no_parquet, "one/sentences.parquet: not the nats of every sentence"),
        (nan_nats, "two/sentences.parquet: valid of row 1 is nan"),
        (other_sentences, "scored on different sentences"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_written(
    results: Path, capsys: pytest.CaptureFixture[str], damage, message: str
) -> None:
    damage(results)
    assert run(results) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(told) == 1
    assert message in told[0]
    assert not (results / "out").exists()


def test_of_pairs_nats_are_compared_and_no_texts_are_scored(results: Path) -> None:
    """What is generated of pairs has references of its own, which stage pairs knows; samples are not read here."""
    corpus = "corpus: {source: grammar, grammar: {num_documents: 2, num_words: 9}, valid_share: 0.1, test_share: 0.1}"
    paths = "{train: corpora/a.jsonl, valid: corpora/b.jsonl, test: corpora/c.jsonl}"
    params = PARAMS.replace(corpus, f"corpus: {{source: pairs, pairs: {{task: files, paths: {paths}}}}}")
    params = params.replace("tokenize: {}", "tokenize: {max_length: 24, max_target: 12, target_length: given}")
    params = params.replace(
        "num_steps: 4}\nfrontier", "num_steps: 4, pairs: {num_sources: 4, num_candidates: 2}}\nfrontier"
    )
    write_text(results / "params.yaml", params)
    for folder in ("corpus", "sample", "frontier"):
        shutil.rmtree(results / folder)
    assert run(results) == 0
    found = json.loads((results / "out" / "metrics.json").read_text())
    assert found["arms"] == {}
    assert found["text_contrasts"] == []
    assert "real_text" not in found
    assert found["contrasts"][0]["difference_nats_per_sentence"]["value"] == pytest.approx(2.0)
    assert found["paired"]["two"]["baseline"] == "one"
