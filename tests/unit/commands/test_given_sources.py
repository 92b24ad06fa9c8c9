"""--source: the source is given, targets end where the arm ends them, and a score is the evaluate stage's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusionbert.arms.build import saved_arm
from diffusionbert.arms.saved import save_arm
from diffusionbert.corpus.batches import collate
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.tokenizers import encode_text
from diffusionbert.evaluation import evaluate
from diffusionbert.stages.evaluate import scored_tokens
from toy_arms import disturb
from unit.program import Program
from unit.small_arms import LINEAR, SPINDLE, small_arm

SOURCE = "the old man saw the house ."


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
    begin = lines[0][8:].partition("[SEP]")[0]
    assert begin
    assert all(line[8:].startswith(begin) for line in lines[1:])


def test_targets_of_a_source_are_filled(program: Program, of_pairs: Path) -> None:
    code, out, err = program("infill", "she [MASK] it", "--source", SOURCE, "--arm", of_pairs, "--json")
    assert (code, err) == (0, "")
    (told,) = json.loads(out)["texts"]
    she, it = (encode_text(of_pairs, word) for word in ("she", "it"))
    tokens = told["tokens"][0]
    assert tokens[: len(she)] == she
    assert tokens[len(she) + 1 :] == it  # whatever the [MASK] became: an end token, too


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


def test_what_does_not_fit_is_one_line(program: Program, of_pairs: Path, folders: dict[str, Path]) -> None:
    def refused(*arguments: object) -> str:
        code, out, err = program(*arguments)
        assert (code, out, err.count("\n")) == (1, "", 1)
        return err.strip()

    arm = ["--arm", of_pairs]
    assert refused("generate", *arm) == ("error: --source: found none; expected one, as this arm was trained on pairs")
    assert refused("generate", *arm, "--source", " ") == "error: --source: empty; expected some words"
    assert refused("generate", *arm, "--source", SOURCE, "--length", 5) == (
        "error: --length: found 5; expected none, as this arm has learnt where a target ends"
    )
    assert refused("infill", "[MASK] " * 13, *arm) == (
        "error: text 1: 13 tokens; expected at most 12, as the targets that the arm saw"
    )
    assert refused("score", "word " * 30, *arm).startswith("error: text 1: ")
    assert refused("generate", "--arm", folders["linear"], "--source", SOURCE) == (
        "error: --source: this arm was trained on texts by themselves; expected none"
    )
