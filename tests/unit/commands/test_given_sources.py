"""--source: the source is given, targets end where the arm ends them, and a score is the evaluate stage's."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffusionbert.arms import autoregressive, bert_mouth, diffusion_lm
from diffusionbert.arms.build import saved_arm, vocabulary_of
from diffusionbert.arms.saved import save_arm
from diffusionbert.commands import sampling
from diffusionbert.corpus.batches import collate
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.tokenizers import encode_text
from diffusionbert.denoisers import backbone
from diffusionbert.evaluation import evaluate
from diffusionbert.stages.evaluate import scored_tokens
from toy_arms import disturb
from unit.program import Program
from unit.small_arms import LINEAR, SENTENCE, SHAPE, SPINDLE, information_of, small_arm

GPT = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
EMBEDDED: dict[str, Any] = {
    "init": "random",
    "schedule": "sqrt",
    "num_steps": 32,
    "embedding_size": 16,
    "sampling_steps": 8,
    "prediction": "expected",
    "objective": "bound",
    "partial_noising": True,
}
SOURCE = "the old man ."


@pytest.fixture(scope="module")
def held(pair_shards: Path) -> Shards:
    return Shards.open(pair_shards)


@pytest.fixture(scope="module", params=["linear", "spindle"])
def of_pairs(request: pytest.FixtureRequest, held: Shards, tmp_path_factory: pytest.TempPathFactory) -> Path:
    arm = small_arm(held, LINEAR if request.param == "linear" else SPINDLE)
    disturb(arm.module, by=0.1)
    folder = tmp_path_factory.mktemp("pairs")
    save_arm(arm, folder, held.manifest["pairs"])
    return folder


def test_targets_are_written_behind_a_source(program: Program, of_pairs: Path) -> None:
    code, out, err = program("generate", "--source", SOURCE, "--arm", of_pairs, "-n", 3, "--json", "--watch")
    assert code == 0
    told = json.loads(out)
    assert (told["source"], told["length"], len(told["texts"])) == (SOURCE, 12, 3)
    assert not any("[SEP]" in text or "[MASK]" in text for text in told["texts"])
    lines = err.splitlines()
    assert lines[0].count("▁") == 12
    assert not any("[SEP]" in line or "the old man" in line for line in lines), "what is drawn is the target"
    assert [line[8:] for line in lines[-3:]] == [text.strip() for text in told["texts"]]


def test_targets_of_a_source_are_filled(program: Program, of_pairs: Path) -> None:
    code, out, err = program("infill", "she [MASK] it", "--source", SOURCE, "--arm", of_pairs, "--json")
    assert (code, err) == (0, "")
    (told,) = json.loads(out)["texts"]
    she, it = (encode_text(of_pairs, word) for word in ("she", "it"))
    tokens = told["tokens"][0]
    assert tokens[: len(she)] == she
    assert tokens[len(she) + 1 :] == it


def bent_to_the_end(held: Shards, name: str) -> Any:
    """An arm of pairs that, but for the causal one, would write end tokens everywhere."""
    vocabulary, tokenizer = vocabulary_of(held, information_of(held)), held.tokenizer_folder
    torch.manual_seed(0)
    if name == "left":
        causal = backbone.fresh(GPT, vocabulary.size, kind="causal")
        return autoregressive.Autoregressive(autoregressive.Settings(init="random"), causal, vocabulary, tokenizer)
    masked = backbone.fresh(SHAPE, vocabulary.size, kind="masked")
    if name == "mouth":
        arm: Any = bert_mouth.BertMouth(bert_mouth.Settings(init="random", num_steps=32), masked, vocabulary, tokenizer)
    elif name == "embedded":
        arm = diffusion_lm.DiffusionLM(diffusion_lm.Settings(**EMBEDDED), masked, vocabulary, tokenizer)
        with torch.no_grad():
            arm.denoiser.rounding_bias[vocabulary.sep_id] = 30.0
        return arm
    else:
        arm = small_arm(held, {"linear": LINEAR, "spindle": SPINDLE, "sentence": SENTENCE}[name])
    with torch.no_grad():
        arm.denoiser.model.cls.predictions.bias[vocabulary.sep_id] = 30.0
    return arm


@pytest.mark.parametrize("name", ["linear", "spindle", "sentence", "mouth", "embedded"])
def test_no_target_ends_before_its_given_words(program: Program, held: Shards, tmp_path: Path, name: str) -> None:
    save_arm(bent_to_the_end(held, name), tmp_path / "arm", held.manifest["pairs"])
    text = "she [MASK] [MASK] it [MASK] [MASK]"
    code, out, err = program("infill", text, "--source", SOURCE, "--arm", tmp_path / "arm", "--json", "-n", 4)
    assert (code, err) == (0, "")
    (told,) = json.loads(out)["texts"]
    she, it = (encode_text(tmp_path / "arm", word) for word in ("she", "it"))
    for tokens, filling in zip(told["tokens"], told["fillings"], strict=True):
        assert tokens[: len(she)] == she
        assert tokens[len(she) + 2 :] == it, "what is behind the first end is cut off"
        assert held.special.sep_id not in tokens
        assert "[SEP]" not in filling


def test_a_causal_arm_of_pairs_goes_on_behind_the_given_words(program: Program, held: Shards, tmp_path: Path) -> None:
    save_arm(bent_to_the_end(held, "left"), tmp_path / "arm", held.manifest["pairs"])
    code, out, err = program(
        "infill", "she saw [MASK] [MASK] [MASK]", "--source", SOURCE, "--arm", tmp_path / "arm", "--json", "-n", 40
    )
    assert (code, err) == (0, "")
    (told,) = json.loads(out)["texts"]
    given = encode_text(tmp_path / "arm", "she saw")
    assert told["steps"] == 3
    assert all(tokens[: len(given)] == given for tokens in told["tokens"])
    assert {len(tokens) - len(given) for tokens in told["tokens"]} <= {0, 1, 2, 3}
    assert len({tuple(tokens) for tokens in told["tokens"]}) > 1
    assert not any("[SEP]" in filling for filling in told["fillings"])


def test_the_score_of_a_target_is_the_evaluate_stages(program: Program, of_pairs: Path, held: Shards) -> None:
    """A pair of the test split, scored as sentence 0 of a split of its own."""
    split = held["test"]
    rows = list(split.several(np.arange(len(split))))
    whole = [int(row[-1]) == held.special.sep_id for row in rows]  # its target is not cut off, and has an end
    number = next(n for n in range(len(split)) if split.given[n] and whole[n])  # type: ignore[index]
    source, target = (list(split.texts(kind, len(split)))[number] for kind in ("source", "target"))
    batch = collate(split, [number], held.special.pad_id)
    batch = type(batch)(batch.tokens, batch.lengths, np.zeros(1, dtype=np.int64), batch.given)
    scores = evaluate(
        saved_arm(of_pairs).scorer([], 0.3),
        [batch],
        num_strata=4,
        num_eval_steps=None,
        seed=2,
        device=torch.device("cpu"),
        label="",
    )["valid"]
    arguments = [target, "--source", source, "--arm", of_pairs, "--strata", 4, "--seed", 2]
    code, out, _ = program("score", *arguments, "--json")
    assert code == 0
    (told,) = json.loads(out)["texts"]
    assert told["nats"] == pytest.approx(float(scores.nats[0]), rel=1e-6)
    assert told["tokens"] == scored_tokens(split, number + 1, held.special.sep_id)[number]
    assert told["words"] == split.words[number]


def test_empty_targets_are_told_of(program: Program, held: Shards, of_pairs: Path, tmp_path: Path) -> None:
    save_arm(bent_to_the_end(held, "linear"), tmp_path / "arm", held.manifest["pairs"])
    arguments = ["generate", "--source", SOURCE, "--arm", tmp_path / "arm", "-n"]
    assert program(*arguments, 2) == (0, "\n\n", "2 of 2 texts are empty: the arm ended them at once\n")
    assert program(*arguments, 1)[2] == "1 of 1 texts is empty: the arm ended it at once\n"
    code, out, err = program("generate", "--source", SOURCE, "--arm", of_pairs, "-n", 3)
    assert (code, err, all(out.splitlines())) == (0, "", True)


def test_the_source_is_told_and_an_empty_one_is_none(program: Program, of_pairs: Path) -> None:
    for arguments in (["score", "she saw it", "--strata", 2], ["infill", "she [MASK] it"], ["generate"]):
        for source in (SOURCE, ""):
            told = json.loads(program(*arguments, "--arm", of_pairs, "--source", source, "--json")[1])
            assert told["source"] == source
    code, out, _ = program("score", "she saw it", "--strata", 2, "--arm", of_pairs, "--source", SOURCE)
    assert code == 0
    assert out.startswith("# valid: an upper bound on -ln p(text | source), in nats")


def test_a_filling_that_is_empty_is_told_of(program: Program, held: Shards, tmp_path: Path) -> None:
    save_arm(bent_to_the_end(held, "linear"), tmp_path / "arm", held.manifest["pairs"])
    arguments = ["infill", "[MASK] [MASK]", "she [MASK] it", "--source", SOURCE, "--arm", tmp_path / "arm", "-n"]
    code, out, err = program(*arguments, 2)
    assert (code, out[:2], len(out.splitlines())) == (0, "\n\n", 4)
    assert err == "2 of 4 fillings are empty: the arm ended them at once\n"
    assert program(*arguments, 1)[2] == "1 of 2 fillings is empty: the arm ended it at once\n"


def test_what_the_arm_does_not_hear_of_a_source_is_told(program: Program, of_pairs: Path) -> None:
    arm = ["--arm", of_pairs]
    for command in (["generate"], ["score", "she saw it", "--strata", 2], ["infill", "she [MASK] it"]):
        code, out, err = program(*command, *arm, "--source", "☃ 😀 the man", "--json")
        told, tokens = json.loads(out), len(encode_text(of_pairs, "☃ 😀 the man"))
        assert (code, err.splitlines()) == (0, [f"source: 2 of {tokens} tokens are [UNK] to the tokenizer"])
        keys = ["source", "source_tokens", "source_tokens_unread", "source_tokens_cut"]
        assert [told[key] for key in keys] == ["☃ 😀 the man", tokens, 2, 0]
        code, out, err = program(*command, *arm, "--source", "man " * 500, "--json")
        told, tokens = json.loads(out), len(encode_text(of_pairs, "man " * 500))
        assert (code, err) == (0, f"source: cut to the first 10 of {tokens} tokens, as in training\n")
        assert [told[key] for key in keys[1:]] == [10, 0, tokens - 10]


SOURCES = [SOURCE, "", "she saw it", "the house"]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    path = tmp_path / "sources"
    path.write_text("\n".join(SOURCES) + "\n", encoding="utf-8")
    return path


@pytest.fixture(params=["linear", "left", "embedded"])
def of_any_system(request: pytest.FixtureRequest, held: Shards, tmp_path: Path) -> Path:
    """An arm, not bent any more, that writes other targets for other sources."""
    arm = bent_to_the_end(held, request.param)
    if request.param == "embedded":
        with torch.no_grad():
            arm.denoiser.rounding_bias.zero_()
    elif request.param == "linear":
        with torch.no_grad():
            arm.denoiser.model.cls.predictions.bias.zero_()
    if request.param != "embedded":
        disturb(arm.module, by=0.3)
    save_arm(arm, tmp_path / "arm", held.manifest["pairs"])
    return tmp_path / "arm"


def test_every_source_of_a_file_has_its_targets_in_order(
    program: Program, of_any_system: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A causal arm that takes the likeliest token draws nothing: each target is the one of its source alone."""
    arguments = ["generate", "--arm", of_any_system, "--top-k", 1, "-n", 2]
    code, out, err = program(*arguments, "--sources", sources)
    assert code == 0
    together = out.splitlines()
    assert len(together) == 8
    told = json.loads(program(*arguments, "--sources", sources, "--json")[1])
    assert [answer["source"] for answer in told["sources"]] == SOURCES
    assert [text for answer in told["sources"] for text in answer["texts"]] == together
    if json.loads((of_any_system / "arm.json").read_text())["system"] == "autoregressive":
        alone = [program(*arguments, "--source", source)[1].splitlines() for source in SOURCES]
        assert together == [text for texts in alone for text in texts]
        assert len(set(together)) > 1, "the source is heard"
    assert program(*arguments, "--sources", sources)[1:] == (out, err)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(sources.read_bytes())))
    assert program(*arguments, "--sources", "-")[1:] == (out, err)


def test_batches_do_not_end_where_sources_do(
    program: Program, of_pairs: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    canvas_of = sampling.canvas_of
    monkeypatch.setattr(sampling, "BATCH", 5)
    monkeypatch.setattr(
        sampling, "canvas_of", lambda opened, rows: (sizes.append(len(rows)), canvas_of(opened, rows))[1]
    )
    arguments = ["generate", "--arm", of_pairs, "--sources", sources, "-n", 3]
    told = json.loads(program(*arguments, "--mbr", "--json")[1])
    assert sizes == [5, 5, 2]
    assert [len(answer["texts"]) for answer in told["sources"]] == [3] * 4
    chosen = [answer["texts"][answer["chosen"]] for answer in told["sources"]]
    assert program(*arguments, "--mbr")[1].splitlines() == chosen
    assert program(*arguments)[1].splitlines() == [text for answer in told["sources"] for text in answer["texts"]]


def test_a_file_of_one_source_is_that_source(program: Program, of_pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "one").write_text(SOURCE)
    arguments = ["generate", "--arm", of_pairs, "-n", 4]
    assert program(*arguments, "--sources", tmp_path / "one") == program(*arguments, "--source", SOURCE)


def test_the_denoising_of_several_sources_shows_their_targets(program: Program, of_pairs: Path, sources: Path) -> None:
    code, out, err = program("generate", "--arm", of_pairs, "--sources", sources, "--watch")
    assert code == 0
    assert [line.count("▁") for line in err.splitlines()[:4]] == [12] * 4
    lines = [line for line in err.splitlines() if line.startswith("t ")]
    assert [line[8:] for line in lines[-4:]] == [text.strip() for text in out.splitlines()]


def test_a_file_of_sources_that_is_none_is_one_line(
    program: Program, of_pairs: Path, folders: dict[str, Path], tmp_path: Path, sources: Path
) -> None:
    def refused(*arguments: object) -> str:
        code, out, err = program("generate", *arguments)
        assert (code, out, err.count("\n")) == (1, "", 1)
        return err.strip().removeprefix("error: ")

    (tmp_path / "empty").write_text("")
    arm = ["--arm", of_pairs, "--sources"]
    assert refused(*arm, tmp_path / "empty") == f"{tmp_path / 'empty'}: no source; expected one a line"
    assert refused(*arm, tmp_path).startswith(f"{tmp_path}: found a folder; expected a file")
    assert refused(*arm, tmp_path / "none").startswith(f"{tmp_path / 'none'}: no such file; expected")
    assert refused(*arm, sources, "--source", SOURCE) == (
        "sources are given by --source and by --sources; expected one of the two"
    )
    assert refused("--arm", folders["linear"], "--sources", sources) == (
        "--sources: this arm was trained on texts by themselves; expected none"
    )


def test_what_does_not_fit_is_one_line(program: Program, of_pairs: Path, folders: dict[str, Path]) -> None:
    def refused(*arguments: object) -> str:
        code, out, err = program(*arguments)
        assert (code, out, err.count("\n")) == (1, "", 1)
        return err.strip()

    arm = ["--arm", of_pairs]
    for command in (["generate"], ["score", "she saw it"], ["infill", "she [MASK] it"]):
        assert refused(*command, *arm) == (
            "error: --source: found none; expected one, as this arm was trained on pairs; --source '' is an empty one"
        )
    assert refused("generate", *arm, "--source", SOURCE, "--length", 5) == (
        "error: --length: found 5; expected none, as this arm has learnt where a target ends"
    )
    arm = [*arm, "--source", SOURCE]
    assert refused("infill", "[MASK] " * 13, *arm) == (
        "error: text 1: 13 tokens; expected at most 12, as the targets that the arm saw"
    )
    assert refused("score", "word " * 30, *arm).startswith("error: text 1: ")
    assert refused("generate", "--arm", folders["linear"], "--source", SOURCE) == (
        "error: --source: this arm was trained on texts by themselves; expected none"
    )
