"""The stages on pairs, in process and on the engines' smallest arms: from a jsonl file to candidates and figures."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML
from workflow.profiles import merged

from diffusionbert import config
from diffusionbert.arms.build import check
from diffusionbert.corpus.grammar import documents
from diffusionbert.corpus.sentences import split_sentences
from diffusionbert.corpus.shards import Shards
from diffusionbert.files import read_json
from diffusionbert.stages import corpus, evaluate, frontier, information, sample, speed, spindle, tokenize, train

ROOT = Path(__file__).parents[3]
DIFFUSEQ = {"init": "random", "schedule": "sqrt", "num_steps": 32, "embedding_size": 16, "sampling_steps": 4}
GPT = {"model_type": "gpt2", "n_layer": 1, "n_embd": 32, "n_head": 2, "n_positions": 64}
MAX_TARGET = 16


def values(**changes: Any) -> dict[str, Any]:
    """The engines profile on pairs, with an arm of every family."""
    made: dict[str, Any] = YAML(typ="safe", pure=True).load(merged(ROOT, "engines")[0])
    made["corpus"] = {
        "source": "pairs",
        "pairs": {"task": "files", "paths": {"all": "corpora/pairs.jsonl"}},
        "valid_share": 0.2,
        "test_share": 0.2,
    }
    made["tokenize"] |= {"max_length": 40, "max_source": 20, "max_target": MAX_TARGET, "target_length": "padded"}
    made["sample"] |= {"pairs": {"num_sources": 6, "num_candidates": 2}, "batch_size": 4}
    made["backbones"]["gpt"] = {"source": "fresh", "config": GPT}
    row = {"label": "x", "tokenizer": "bert", "backbone": "tiny", "seed": 0}
    made["arms"] |= {
        "diffuseq": {**row, "system": "diffusion_lm", "settings": DIFFUSEQ | {"partial_noising": True}},
        "mouth": {**row, "system": "bert_mouth", "settings": {"init": "random"}},
        "gpt": {**row, "system": "autoregressive", "backbone": "gpt", "settings": {"init": "random"}},
    }
    for section, change in changes.items():
        made[section] |= change
    return made


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("corpora").mkdir()
    source = config.GrammarSource(num_documents=20, num_words=100, seed=0)
    sentences = [sentence for document in documents(source) for sentence in split_sentences(document.text)]
    rows = [{"src": one, "trg": other} for one, other in itertools.pairwise(sentences)]
    Path("corpora/pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write(values())
    return tmp_path


def write(made: dict[str, Any]) -> None:
    YAML(typ="safe").dump(made, Path("params.yaml"))


def data(out: str = "results") -> None:
    assert corpus.main(["--out", f"{out}/corpus"]) == 0
    words = ["--tokenizer", "bert"]
    assert tokenize.main([*words, "--corpus", f"{out}/corpus", "--out", f"{out}/tokenize/bert"]) == 0
    assert information.main([*words, "--tokens", f"{out}/tokenize/bert", "--out", f"{out}/information/bert"]) == 0


def run(stage: Any, arm: str, out: str = "results") -> int:
    name = stage.__name__.rsplit(".", 1)[1]
    model = [] if name == "train" else ["--model", f"{out}/train/{arm}/model"]
    inputs = ["--tokens", f"{out}/tokenize/bert", "--information", f"{out}/information/bert"]
    places = ["--out", f"{out}/{name}/{arm}", "--timing", f"{out}/timing/{name}/{arm}.json"]
    status: int = stage.main(["--arm", arm, *model, *inputs, *places])
    return status


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_family_from_pairs_to_candidates(project: Path) -> None:
    data()
    results = project / "results"
    words = ["--tokenizer", "bert", "--tokens", "results/tokenize/bert", "--information", "results/information/bert"]
    assert spindle.main([*words, "--out", "results/spindle/bert"]) == 0
    split = Shards.open(results / "tokenize/bert/shards")["test"]
    assert split.given is not None
    for arm in ("linear", "spindle", "diffuseq", "mouth", "gpt"):
        for stage in (train, evaluate, sample):
            assert run(stage, arm) == 0, (arm, stage)
        scored = read_json(results / f"evaluate/{arm}/metrics.json")
        assert scored["pairs"]["target_length"] == "padded"
        assert scored["pairs"]["given_tokens"] == int(split.given[: scored["sentences"]].sum())
        columns = pq.read_table(results / f"evaluate/{arm}/sentences.parquet").to_pydict()
        assert sum(columns["tokens"]) == scored["tokens"]
        assert max(columns["tokens"]) <= MAX_TARGET
        for row, (tokens, given) in enumerate(zip(columns["tokens"], split.given.tolist(), strict=False)):
            target = split.tokens(row)[given:].tolist()
            end = Shards.open(results / "tokenize/bert/shards").special.sep_id
            assert tokens == (target.index(end) + 1 if end in target else MAX_TARGET)
        candidates = lines(results / f"sample/{arm}/candidates.jsonl")
        assert [row["index"] for row in candidates] == list(range(6))
        assert [row["source"] for row in candidates] == split.texts("source", 6)
        assert [row["target"] for row in candidates] == split.texts("target", 6)
        for row in candidates:
            assert len(row["candidates"]) == len(row["lengths"]) == 2
            assert max(row["lengths"]) <= MAX_TARGET
            assert not any("[SEP]" in text or "[MASK]" in text for text in row["candidates"])
        samples = lines(results / f"sample/{arm}/samples.jsonl")
        assert [row["text"] for row in samples] == [row["candidates"][0] for row in candidates]


def test_candidates_are_the_seed_s_and_differ(project: Path) -> None:
    given = {"target_length": "given"}
    write(values(tokenize=given))
    data()
    assert run(train, "spindle") == 0
    found = []
    for seed in (0, 0, 1):
        write(values(tokenize=given, sample={"seed": seed}))
        assert run(sample, "spindle") == 0
        found.append(lines(project / "results/sample/spindle/candidates.jsonl"))
    for row, again, other in zip(*found, strict=True):
        assert row == again
        assert row["candidates"][0] != row["candidates"][1]
        assert row["candidates"] != other["candidates"]


def test_a_given_length_is_the_reference_s(project: Path) -> None:
    write(values(tokenize={"target_length": "given"}))
    data()
    assert run(train, "linear") == 0
    assert run(evaluate, "linear") == 0
    assert run(sample, "linear") == 0
    split = Shards.open(project / "results/tokenize/bert/shards")["test"]
    assert split.given is not None
    candidates = lines(project / "results/sample/linear/candidates.jsonl")
    for row, wanted in zip(candidates, (split.lengths - split.given).tolist(), strict=False):
        assert row["lengths"] == [wanted, wanted]
    assert read_json(project / "results/evaluate/linear/metrics.json")["pairs"]["target_length"] == "given"


def test_speed_and_frontier_begin_from_sources_too(project: Path) -> None:
    data()
    for arm in ("linear", "spindle", "gpt"):
        assert run(train, arm) == 0
    write(values(frontier={"arms": ["linear", "gpt"]}, speed={"arms": ["linear", "gpt"]}))
    places = ["--tokenize", "results/tokenize", "--information", "results/information"]
    assert speed.main(["--train", "results/train", *places, "--out", "results/speed"]) == 0
    assert set(read_json(project / "results/speed/metrics.json")["arms"]) == {"linear", "gpt"}
    for arm in ("linear", "gpt"):
        model = ["--arm", arm, "--model", f"results/train/{arm}/model", "--out", f"results/frontier/{arm}"]
        assert frontier.main([*model, *places]) == 0
        assert not any("[SEP]" in row["text"] for row in lines(project / f"results/frontier/{arm}/samples.jsonl"))


def test_a_source_without_room_ends_in_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = values(tokenize={"max_length": 24})
    made["tokenize"]["max_source"] = None
    write(made)
    assert corpus.main(["--out", "results/corpus"]) == 0
    arguments = ["--tokenizer", "bert", "--corpus", "results/corpus", "--out", "results/tokenize/bert"]
    assert tokenize.main(arguments) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: tokenize@bert: results/corpus/text, split 'train' (shuffled), line ")
    assert "expected at most tokenize.max_length = 24" in error
    assert not Path("results/tokenize").exists() or not any(Path("results/tokenize").rglob("*.json"))
    made["corpus"]["pairs"]["skip_long"] = True
    write(made)
    assert tokenize.main(arguments) == 0
    assert read_json(project / "results/tokenize/bert/metrics.json")["skipped_long"]["train"] > 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tokenize": {"max_target": None}}, "tokenize.max_target: missing; corpus.source 'pairs' needs it"),
        ({"tokenize": {"target_length": None}}, "tokenize.target_length: missing"),
        ({"sample": {"pairs": None}}, "sample.pairs: missing"),
        ({"tokenize": {"max_length": 30}}, "tokenize.max_length is 30; expected at least 37"),
        ({"generative": {"arm": "gpt"}}, "generative.arm: found 'gpt' with corpus.source 'pairs'; expected null"),
        ({"corpus": {"cleaning": {}}}, "cleaning is set with source 'pairs'"),
        (
            {"tokenizers": {"bert": {"source": "train", "vocab_size": 300, "packed": True}}},
            "tokenizers.bert.packed is true; expected false",
        ),
        (
            {"corpus": {"source": "grammar", "grammar": {"num_documents": 9, "num_words": 9}}},
            "tokenize.max_target is set with corpus.source 'grammar'; only 'pairs' has it",
        ),
        (
            {"backbones": {"gpt": {"source": "fresh", "config": GPT | {"n_positions": 36}}}},
            "tokenize.max_source, a separator and tokenize.max_target for arms.gpt: 37 tokens",
        ),
        (
            {"corpus": {"pairs": {"task": "files", "paths": {"all": "/etc/passwd"}}}},
            "corpus.pairs.paths.all: found '/etc/passwd'; expected a path inside corpora/",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(change: dict[str, Any], told: str) -> None:
    made = values(generative={}) if "generative" in values() else values() | {"generative": {}}
    for section, each in change.items():
        made[section] |= each
    with pytest.raises(ValueError, match=re.escape(told)):
        check(config.parse(made))


@pytest.mark.parametrize("clean", [True, False])
def test_partial_noising_is_of_pairs_alone(clean: bool) -> None:
    made = values()
    made["arms"]["diffuseq"]["settings"]["partial_noising"] = clean
    if clean:
        check(config.parse(made))
        return
    with pytest.raises(ValueError, match=r"arms\.diffuseq\.settings.partial_noising: found false with corpus\.source"):
        check(config.parse(made))
