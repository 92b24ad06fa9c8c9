"""score: the evaluate stage's figures for the same sentences and seed, and what they are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffusionbert.arms.build import saved_arm
from diffusionbert.corpus.batches import in_order_of_length
from diffusionbert.corpus.shard_writer import Rows, write_shards
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.text import read_sentences
from diffusionbert.corpus.tokenizers import saved_tokenizer
from diffusionbert.evaluation import evaluate
from diffusionbert.metrics.perplexity import figures
from unit.program import Program

COUNT = 12
OWN = {"linear": "valid", "spindle": "valid", "mouth": "bound", "embedded": "bound", "left": "exact"}


@pytest.fixture(scope="module")
def whole(grammar_text: Path, shards: Shards, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """The same sentences under the same tokenizer, none of them cut off."""
    folder = tmp_path_factory.mktemp("whole") / "shards"
    tokenizer = saved_tokenizer(shards.tokenizer_folder)
    write_shards(grammar_text, folder, tokenizer, shards.special, Rows(60), shard_size=500)
    found = Shards.open(folder)
    assert found["test"].lengths[:COUNT].max() < 60
    return found


@pytest.fixture(scope="module")
def sentences(grammar_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first sentences of the test split, one a line."""
    path = tmp_path_factory.mktemp("sentences") / "test.txt"
    first = list(read_sentences(grammar_text, "test"))[:COUNT]
    path.write_text("\n".join(first) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "protocol"), [*OWN.items(), ("spindle", "oracle"), ("left", "with_end")])
def test_the_figures_are_the_evaluate_stages(
    program: Program, folders: dict[str, Path], whole: Shards, sentences: Path, name: str, protocol: str
) -> None:
    split, seed = whole["test"], 3
    batches = list(in_order_of_length(split, COUNT, 5, whole.special.pad_id))
    scores = evaluate(
        saved_arm(folders[name]).scorer([], 0.3),
        batches,
        num_strata=4,
        num_eval_steps=None,
        seed=seed,
        device=torch.device("cpu"),
        label="",
    )[protocol]
    arguments = ["--file", sentences, "--arm", folders[name], "--strata", 4, "--seed", seed]
    chosen = [] if protocol == OWN[name] else ["--protocol", protocol]
    code, out, err = program("score", *arguments, *chosen, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["protocol"] == protocol
    np.testing.assert_allclose([row["nats"] for row in told["texts"]], scores.nats, rtol=1e-5)  # other batches
    words, tokens = (np.asarray(column[:COUNT], dtype=np.int64) for column in (split.words, split.lengths))
    stage = figures(scores.nats, words, tokens, np.random.default_rng(0), 10)
    overall: dict[str, Any] = told["all"]
    assert (overall["words"], overall["tokens"]) == (words.sum(), tokens.sum())
    assert overall["nats_per_text"] == pytest.approx(stage.nats_per_sentence.value, rel=1e-5)
    assert overall["perplexity_per_word"] == pytest.approx(stage.perplexity_per_word.value, rel=1e-5)
    assert overall["perplexity_per_token"] == pytest.approx(stage.perplexity_per_token.value, rel=1e-5)
    exact = OWN[name] == "exact"
    assert (told["kind"] == "exact", told["strata"] is None, overall["standard_error"] is None) == (exact,) * 3
    if not exact:
        assert overall["standard_error"] == pytest.approx(scores.monte_carlo_standard_error, rel=1e-5)
        errors = np.array([row["standard_error"] for row in told["texts"]])
        assert np.sqrt((errors**2).sum()) / COUNT == pytest.approx(overall["standard_error"], rel=1e-9)
        assert told["kind"] == ("no bound" if protocol == "oracle" else "upper bound")


def test_an_exact_text_is_scored_as_it_is_alone(program: Program, folders: dict[str, Path]) -> None:
    texts = ["the old man saw the house .", "she saw it"]
    together = json.loads(program("score", *texts, "--arm", folders["left"], "--json")[1])["texts"]
    for text, row in zip(texts, together, strict=True):
        (alone,) = json.loads(program("score", text, "--arm", folders["left"], "--json")[1])["texts"]
        assert row["nats"] == pytest.approx(alone["nats"], rel=1e-5)


def test_the_table_names_unit_protocol_and_draws(program: Program, folders: dict[str, Path]) -> None:
    texts = ["the old man saw the house .", "she saw it"]
    code, out, err = program("score", *texts, "--arm", folders["spindle"], "--steps", 8, "--strata", 4)
    assert (code, err) == (0, "")
    about, header, *rows = out.splitlines()
    assert about.startswith("# valid: an upper bound on -ln p(text), in nats (spindle")
    assert about.endswith("of its 8-step model; 4 draws a text, seed 0)")
    assert header.split() == ["nats", "s.e.", "nats/token", "PPL/word", "PPL/token", "text"]
    assert [row.split(maxsplit=5)[-1] for row in rows] == [*texts, "(mean of 2 texts)"]
    assert out == program("score", *texts, "--arm", folders["spindle"], "--steps", 8, "--strata", 4)[1]


def test_of_one_draw_there_is_no_standard_error(program: Program, folders: dict[str, Path]) -> None:
    texts = ["the old man saw the house .", "she saw it"]
    for name, few in (("linear", ["--strata", 1]), ("linear", ["--steps", 1]), ("embedded", ["--strata", 1])):
        code, out, err = program("score", *texts, "--arm", folders[name], *few)
        assert (code, err) == (0, "")
        about, _, *rows = out.splitlines()
        assert about.endswith("; 1 draw a text, seed 0)")
        assert [row.split()[1] for row in rows] == ["none"] * 3
        told = json.loads(program("score", *texts, "--arm", folders[name], *few, "--json")[1])
        assert [row["standard_error"] for row in (*told["texts"], told["all"])] == [None] * 3
        assert (told["strata"], told["seed"]) == (1, 0)


def test_the_draws_that_are_told_are_those_that_are_taken(program: Program, folders: dict[str, Path]) -> None:
    for name, asked, taken in (("linear", ["--steps", 8], 8), ("linear", ["--strata", 99], 32), ("mouth", [], 32)):
        code, out, _ = program("score", "she saw it", "--arm", folders[name], *asked)
        assert code == 0
        assert f"; {taken} draws a text, seed 0)" in out.splitlines()[0]
        told = json.loads(program("score", "she saw it", "--arm", folders[name], *asked, "--json")[1])
        assert told["strata"] == taken
        assert told["texts"][0]["standard_error"] > 0
    told = json.loads(program("score", "she saw it", "--arm", folders["left"], "--json")[1])
    assert (told["strata"], told["seed"], told["all"]["standard_error"]) == (None, None, None)


def test_what_the_tokenizer_cannot_read_is_told(program: Program, folders: dict[str, Path]) -> None:
    code, _, err = program("score", "she saw ☃", "--arm", folders["linear"])
    assert code == 0
    assert err.startswith("text 1: 1 of ")
    assert "tokens are [UNK]" in err


def test_a_perplexity_that_has_no_value_is_none(program: Program, like_roberta: Path) -> None:
    """What is no word (here a zero-width space) has tokens under a tokenizer of bytes."""
    texts = ["she saw it", "\u200b"]
    code, out, _ = program("score", *texts, "--arm", like_roberta, "--json")
    assert code == 0
    told = json.loads(out)
    assert [row["perplexity_per_word"] is None for row in told["texts"]] == [False, True]
    assert told["all"]["perplexity_per_word"] > told["texts"][0]["perplexity_per_word"]
    assert "none" in program("score", *texts, "--arm", like_roberta)[1].splitlines()[3]


def test_bad_input_is_one_line(program: Program, folders: dict[str, Path]) -> None:
    def refused(*arguments: object) -> str:
        code, out, err = program("score", *arguments)
        assert (code, out, err.count("\n")) == (1, "", 1)
        return err.strip()

    linear = ["she saw it", "--arm", folders["linear"]]
    assert refused(*linear, "--protocol", "exact") == (
        "error: --protocol: found 'exact'; expected one of valid, oracle, released"
    )
    assert refused(*linear, "--strata", 0) == "error: --strata: found 0; expected at least 1"
    assert "do not divide num_steps = 32" in refused(*linear, "--steps", 5)
    assert refused("she saw it", "--arm", folders["left"], "--steps", 8).startswith(
        "error: --steps: found 8; expected none"
    )
    assert refused("word " * 70, *linear[1:]).startswith("error: text 1: ")
