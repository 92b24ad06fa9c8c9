"""generate: every system writes, and under its settings what the sample stage writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from diffusionbert.arms.build import saved_arm
from diffusionbert.corpus.tokenizers import decode_tokens
from diffusionbert.diffusion.draws import Purpose, generator
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.words import split_words
from unit.program import Program

ARMS = ["linear", "spindle", "mouth", "embedded", "left"]


@pytest.mark.parametrize("name", ARMS)
def test_the_texts_are_the_sample_stages(program: Program, folders: dict[str, Path], name: str) -> None:
    """Drawn as the stage draws its first batch, from the generator of (seed, SAMPLE, 0, 0)."""
    arm = saved_arm(folders[name])
    num_steps = next(iter(arm.own_steps(9)), 16)
    rng = torch.Generator().manual_seed(int(generator(5, Purpose.SAMPLE, index=0).integers(2**62)))
    *_, last = arm.sample(arm.vocabulary.blank(torch.full((4,), 9)), num_steps, Truncation(0.8, 20), rng)
    wanted = decode_tokens(folders[name], last.xt.tolist())
    arguments = ["-n", 4, "--length", 9, "--temperature", 0.8, "--top-k", 20, "--seed", 5, "--arm", folders[name]]
    steps = [] if arm.own_steps(9) else ["--steps", 16]
    code, out, err = program("generate", *arguments, *steps)
    assert (code, err) == (0, "")
    assert out.splitlines() == wanted
    code, out, _ = program("generate", *arguments, *steps, "--json")
    told = json.loads(out)
    assert told["texts"] == wanted
    assert (told["steps"], told["length"], told["seed"], told["top_k"]) == (num_steps, 9, 5, 20)


@pytest.mark.parametrize(("name", "steps"), [("linear", 32), ("mouth", 9), ("embedded", 8), ("left", 9)])
def test_the_usual_steps_are_the_systems(program: Program, folders: dict[str, Path], name: str, steps: int) -> None:
    code, out, _ = program("generate", "--length", 9, "--arm", folders[name], "--json")
    assert (code, json.loads(out)["steps"]) == (0, steps)


def test_of_several_texts_the_one_that_the_others_agree_with(program: Program, folders: dict[str, Path]) -> None:
    arguments = ["--length", 6, "--temperature", 0.3, "-n", 5, "--arm", folders["left"]]
    texts = program("generate", *arguments)[1].splitlines()
    words = [split_words(text) for text in texts]
    method = SmoothingFunction().method4
    agreement = [
        sum(sentence_bleu([other], one, smoothing_function=method) for j, other in enumerate(words) if j != i)
        for i, one in enumerate(words)
    ]
    assert len(set(texts)) > 2
    best = max(range(5), key=agreement.__getitem__)
    assert program("generate", *arguments, "--mbr") == (0, f"{texts[best]}\n", "")
    told = json.loads(program("generate", *arguments, "--mbr", "--json")[1])
    assert (told["chosen"], told["texts"]) == (best, texts)
    assert program("generate", "--arm", folders["left"], "--mbr") == (
        1,
        "",
        "error: --mbr: found -n 1; expected at least 2 texts to choose among\n",
    )


def test_the_writing_is_shown(program: Program, folders: dict[str, Path]) -> None:
    code, out, err = program("generate", "--length", 4, "--arm", folders["left"], "--watch")
    assert code == 0
    assert [line.count("▁") for line in err.splitlines()] == [4, 3, 2, 1, 0]
    assert err.splitlines()[-1] == f"t    0  {out.strip()}"


def test_a_length_that_the_arm_cannot_hold_is_named(program: Program, folders: dict[str, Path]) -> None:
    for length, error in (
        (63, "--length: 63 tokens; expected at most 62, which is what this arm holds"),
        (0, "--length: found 0; expected at least 1"),
    ):
        found = program("generate", "--length", length, "--arm", folders["linear"])
        assert found == (1, "", f"error: {error}\n")
