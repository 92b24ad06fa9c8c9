"""infill: what is given stays, what is missing has its law, the same seed gives the same texts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from diffusionbert.arms.build import saved_arm
from diffusionbert.corpus.tokenizers import encode_text, saved_tokenizer
from unit.program import Program

TEXT = "the old man [MASK] [MASK] the house ."
MASKED_ARMS = ["linear", "spindle", "mouth"]


def answer(program: Program, *arguments: object) -> dict[str, Any]:
    code, out, err = program("infill", *arguments, "--json")
    assert (code, err) == (0, "")
    told: dict[str, Any] = json.loads(out)
    return told


@pytest.mark.parametrize("arm", MASKED_ARMS)
def test_given_words_stay_and_others_are_words(program: Program, folders: dict[str, Path], arm: str) -> None:
    told = answer(program, TEXT, "--arm", folders[arm], "-n", 3)
    before, after = (encode_text(folders[arm], part) for part in TEXT.split(" [MASK] [MASK] "))
    candidates = saved_arm(folders[arm]).vocabulary.candidates
    (text,) = told["texts"]
    assert (text["unknown"], len(text["fillings"])) == (2, 3)
    for tokens in text["tokens"]:
        assert tokens[: len(before)] == before
        assert tokens[len(before) + 2 :] == after
        assert bool(candidates[tokens[len(before) : len(before) + 2]].all())


@pytest.mark.parametrize("arm", ["linear", "spindle", "mouth"])
def test_one_missing_token_has_the_law_of_the_network(program: Program, folders: dict[str, Path], arm: str) -> None:
    """A single [MASK] is drawn from p~ given the rest, whatever the schedule: it is revealed once."""
    count = 1500
    told = answer(program, "the [MASK] man .", "--arm", folders[arm], "-n", count, "--steps", 1)
    loaded: Any = saved_arm(folders[arm])
    rows = torch.tensor(told["texts"][0]["tokens"])
    place = int((rows != rows[0]).any(0).nonzero()[0])
    xt = rows[:1].clone()
    xt[0, place] = loaded.vocabulary.mask_id
    with torch.no_grad():
        hidden = loaded.denoiser.encode(xt, torch.tensor([xt.shape[1]]), torch.tensor([32]))
        logits = loaded.denoiser.predict(hidden, xt == loaded.vocabulary.mask_id)[0]
    law = logits.double().masked_fill(~loaded.vocabulary.candidates, -torch.inf).softmax(-1)
    found = torch.bincount(rows[:, place], minlength=len(law))
    often = law * count >= 5
    observed = [*found[often].tolist(), int(found[~often].sum())]
    expected = [*(law[often] * count).tolist(), float(law[~often].sum()) * count]
    assert len(observed) > 10
    assert chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize("arm", MASKED_ARMS)
def test_the_same_seed_gives_the_same_texts(program: Program, folders: dict[str, Path], arm: str) -> None:
    found = [program("infill", TEXT, "--arm", folders[arm], "-n", 4, "--seed", seed) for seed in (1, 1, 2)]
    assert found[0] == found[1]
    assert found[0][1] != found[2][1]
    assert len(found[0][1].splitlines()) == 4


def test_a_text_is_filled_as_it_is_alone(program: Program, folders: dict[str, Path], tmp_path: Path) -> None:
    texts = ["[MASK] [MASK] [MASK] .", TEXT, "she [MASK] it"]
    alone = [answer(program, text, "--arm", folders["spindle"], "-n", 2)["texts"][0] for text in texts]
    (tmp_path / "texts").write_text("\n".join(reversed(texts)) + "\n")
    together = answer(program, "--file", tmp_path / "texts", "--arm", folders["spindle"], "-n", 2)["texts"]
    assert together == alone[::-1]


@pytest.mark.parametrize("mask", ["[MASK]", "<mask>"])
def test_either_spelling_is_understood_and_spaces_are_the_tokenizers(
    program: Program, like_roberta: Path, mask: str
) -> None:
    tokenizer = saved_tokenizer(like_roberta)
    text = f"the old {mask} saw {mask}{mask} the house"
    (told,) = answer(program, text, "--arm", like_roberta)["texts"]
    own = tokenizer(text.replace("[MASK]", "<mask>"), add_special_tokens=False).input_ids
    wanted = [token if token != tokenizer.mask_token_id else None for token in own]
    assert [
        token if given is not None else None for token, given in zip(told["tokens"][0], wanted, strict=True)
    ] == wanted
    assert told["unknown"] == 3
    assert told["fillings"][0].startswith("the old")


def test_a_causal_arm_goes_on_behind_the_given_words(program: Program, folders: dict[str, Path]) -> None:
    (told,) = answer(program, "the old man [MASK] [MASK] [MASK]", "--arm", folders["left"])["texts"]
    given = encode_text(folders["left"], "the old man")
    assert told["tokens"][0][: len(given)] == given
    assert told["steps"] == 3


def test_the_denoising_is_shown_a_line_a_step(program: Program, folders: dict[str, Path]) -> None:
    plain = program("infill", TEXT, "--arm", folders["spindle"], "-n", 2, "--steps", 8)
    code, out, err = program("infill", TEXT, "--arm", folders["spindle"], "-n", 2, "--steps", 8, "--watch")
    assert (code, out) == plain[:2]
    lines = err.splitlines()
    assert len(lines) == 2 * (1 + 8)
    assert all(line.startswith("start  ") and line.count("▁") == 2 for line in lines[:2])
    moments = [int(re.match(r"t +(\d+)  ", line)[1]) for line in lines[2:]]  # type: ignore[index]
    assert moments == [t for t in range(28, -1, -4) for _ in range(2)]
    assert not any("▁" in line for line in lines[-2:])


def refused(program: Program, *arguments: object) -> str:
    code, out, err = program("infill", *arguments)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def test_bad_texts_are_named(program: Program, folders: dict[str, Path], tmp_path: Path) -> None:
    arm = ["--arm", folders["linear"]]
    assert refused(program, TEXT, "the old man", *arm).startswith(
        "text 2: no [MASK] in 'the old man'; expected at least"
    )
    assert refused(program, TEXT, " ", *arm) == "text 2: empty; expected some words"
    assert refused(program, "☃ [MASK]", *arm).startswith("text 1: '☃' is no text that the tokenizer can read")
    long = " ".join(["[MASK]"] * 63)
    assert refused(program, long, *arm) == "text 1: 63 tokens; expected at most 62, which is what this arm holds"
    assert refused(program, TEXT, "--file", "x", *arm).startswith("texts are given as arguments and by --file")
    missing, empty, latin = tmp_path / "missing", tmp_path / "empty", tmp_path / "latin"
    empty.write_text("")
    latin.write_bytes("caf\xe9".encode("latin-1"))
    assert refused(program, "--file", missing, *arm) == f"{missing}: no such file; expected one with a text a line"
    assert refused(program, "--file", empty, *arm) == f"{empty}: no text; expected one a line"
    assert refused(program, "--file", latin, *arm) == f"{latin}: not UTF-8 at byte 3; expected UTF-8 text"


def test_bad_settings_are_named(program: Program, folders: dict[str, Path]) -> None:
    arm = [TEXT, "--arm", folders["linear"]]
    assert refused(program, *arm, "--steps", 5) == (
        "text 1: 5 steps do not divide num_steps = 32; expected a divisor of it"
    )
    assert refused(program, *arm, "--steps", 0) == "--steps: found 0; expected at least 1"
    assert refused(program, *arm, "-n", 0) == "-n: found 0; expected at least 1"
    assert refused(program, *arm, "--seed", -1) == "--seed: found -1; expected at least 0"
    assert refused(program, *arm, "--temperature", 0) == "temperature is 0.0; expected a finite number > 0"
    assert refused(program, *arm, "--top-p", 2) == "top_p is 2.0; expected a number in (0, 1]"
    assert refused(program, *arm, "--threads", 0) == "--threads: found 0; expected at least 1"


def test_systems_that_cannot_fill_say_so(program: Program, folders: dict[str, Path]) -> None:
    assert refused(program, TEXT, "--arm", folders["left"]).endswith(
        "is given behind an unknown one; expected given tokens at the start alone, as a causal model does not look to "
        "its right"
    )
    assert "some tokens are given; expected none" in refused(program, TEXT, "--arm", folders["embedded"])
