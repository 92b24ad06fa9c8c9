"""An arm by its folder or its name: equal to what the stages load, and one clear line where there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from workflow.profiles import merged

from diffusionbert import config
from diffusionbert.arms.build import fills, saved_arm
from diffusionbert.arms.saved import read_vocabulary, save_arm
from diffusionbert.config.reading import read_yaml
from diffusionbert.corpus.shards import Shards
from diffusionbert.files import write_sums
from unit.program import Program
from unit.small_arms import LINEAR, information_of, small_arm

ROOT = Path(__file__).parents[3]


def refused(program: Program, *arguments: object) -> str:
    code, out, err = program("generate", *arguments)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    return line


def test_a_folder_alone_is_the_arm(shards: Shards, tmp_path: Path) -> None:
    arm = small_arm(shards, LINEAR)
    save_arm(arm, tmp_path)
    again = saved_arm(tmp_path)
    assert again.settings == arm.settings  # type: ignore[attr-defined]
    ours, theirs = again.module.state_dict(), arm.module.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for name in ("candidates", "counts", "information"):
        found, wanted = (getattr(each.vocabulary, name).numpy() for each in (again, arm))
        np.testing.assert_array_equal(found, wanted)
    table = information_of(shards)
    assert again.vocabulary.mean_information == pytest.approx(
        float(np.nansum(table.probability * np.nan_to_num(table.information))), rel=1e-12
    )
    assert again.vocabulary.mask_id == shards.special.mask_id


def test_equal_arms_are_equal_bytes(shards: Shards, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        save_arm(small_arm(shards, LINEAR), tmp_path / name)
    assert (tmp_path / "one/sums.json").read_bytes() == (tmp_path / "other/sums.json").read_bytes()


def test_an_arm_is_found_by_its_name(
    program: Program, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--length", 4, "--arm"]
    assert refused(program, *arguments, "linear") == (
        "error: --arm: found 'linear', which is no folder, and there is no params.yaml to look the name up; expected a "
        "model folder, or --params"
    )
    Path("params.yaml").write_text(merged(ROOT, "engines")[0])
    assert refused(program, *arguments, "nobody") == (
        "error: --arm: found 'nobody'; expected a model folder, or an arm of params.yaml: linear, spindle"
    )
    place = Path("results/engines/train/linear/model")
    assert refused(program, *arguments, "linear") == (
        f"error: {place}: no such folder; the arm linear is not trained here: run `make run` first"
    )
    shutil.copytree(folders["linear"], place)
    assert program("generate", *arguments, "linear")[:2] == program("generate", *arguments, folders["linear"])[:2]


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the params.yaml of the default profile, in which nothing is trained."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((ROOT / "profiles/default.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return Path("results/default/train")


def test_without_a_name_it_is_the_first_that_is_trained(
    program: Program, folders: dict[str, Path], at_home: Path
) -> None:
    given = {"generate": ["--length", 4], "score": ["she saw it", "--strata", 2], "infill": ["she [MASK] it ."]}
    for name, folder in (("gpt", "left"), ("bert_mouth", "mouth"), ("diffusion_lm", "embedded")):  # from the last on
        shutil.copytree(folders[folder], at_home / name / "model")
        for command in ("generate", "score"):
            code, out, err = program(command, *given[command])
            assert (code, err) == (0, f"arm: {name}, the first of params.yaml that is trained\n")
            assert out == program(command, *given[command], "--arm", name)[1]
        code, out, err = program("infill", *given["infill"])
        if name == "gpt":
            assert (code, out, err) == (
                1,
                "",
                "error: --arm: found none, and no arm that fills anywhere of params.yaml (profile default) is trained "
                "here: run `make run` first, or name a model folder\n",
            )
        else:
            assert err == "arm: bert_mouth, the first of params.yaml that is trained and fills anywhere\n"
            assert (code, out) == program("infill", *given["infill"], "--arm", "bert_mouth")[:2]
    shutil.copytree(folders["linear"], at_home / "diffusionbert_linear_tad/model")
    assert program("infill", *given["infill"])[2].startswith("arm: diffusionbert_linear_tad, ")


def test_the_choice_of_an_arm_is_told_in_json_too(program: Program, folders: dict[str, Path], at_home: Path) -> None:
    shutil.copytree(folders["linear"], at_home / "d3pm_linear_tad/model")
    assert json.loads(program("generate", "--json")[1])["arm"] == str(at_home / "d3pm_linear_tad/model")


def test_where_none_is_trained_one_line_says_what_to_do(program: Program, at_home: Path) -> None:
    told = (
        "error: --arm: found none, and no arm of params.yaml (profile default) is trained here: run `make run` first, "
        "or name a model folder"
    )
    assert refused(program) == told
    Path("params.yaml").unlink()
    assert refused(program) == (
        "error: --arm: found none, and there is no params.yaml to choose one from; expected a model folder, or --params"
    )


def test_a_diffusion_lm_fills_where_it_was_trained_beside_clean_embeddings() -> None:
    rows = config.parse(read_yaml(ROOT / "profiles/default.yaml")).arms
    paired = rows["diffusion_lm"].settings | {"partial_noising": True}
    able = {name: fills(name, row) for name, row in rows.items()}
    assert [name for name, can in able.items() if not can] == ["diffusion_lm", "gpt"]
    assert fills("diffuseq", rows["diffusion_lm"].model_copy(update={"settings": paired}))


def test_a_folder_that_is_no_arms_is_named(program: Program, folders: dict[str, Path], tmp_path: Path) -> None:
    assert refused(program, "--arm", tmp_path / "none") == (
        f"error: --arm: {tmp_path / 'none'}: no such folder; expected a model folder as the train stage leaves it"
    )
    assert refused(program, "--arm", tmp_path) == (
        f"error: {tmp_path / 'arm.json'}: no such file; expected a model folder as the train stage leaves it"
    )
    model = tmp_path / "model"
    shutil.copytree(folders["linear"], model)
    (model / "vocabulary.safetensors").unlink()
    assert refused(program, "--arm", model).startswith(f"error: {model / 'vocabulary.safetensors'}: missing")
    write_sums(model)
    assert refused(program, "--arm", model) == (
        f"error: {model / 'vocabulary.safetensors'}: no such file; expected it beside the model: run the train stage "
        "again"
    )
    (model / "vocabulary.safetensors").write_bytes(b"nothing")
    (model / "arm.json").write_text('{"system": "absorbing"}')
    write_sums(model)
    assert "expected the keys 'system' and 'settings'" in refused(program, "--arm", model)
    with pytest.raises(ValueError, match="expected the vocabulary of a trained arm"):
        read_vocabulary(model)
    (model / "arm.json").write_text('{"system": "wishing", "settings": {}}')
    write_sums(model)
    assert refused(program, "--arm", model).startswith(
        f"error: {model / 'arm.json'}: system: found 'wishing'; expected"
    )


WITHOUT = """
import sys
for name in ("mlflow", "dvc", "snakemake"):
    sys.modules[name] = None  # as if it were not installed
from diffusionbert.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_engines_are_not_needed(folders: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, "generate", "--length", "4", "--arm", str(folders["linear"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_texts_come_on_stdin_and_a_reader_may_leave_early(folders: dict[str, Path]) -> None:
    program = f"{sys.executable} -m diffusionbert infill --arm {folders['linear']}"
    command = f"yes 'the [MASK] man' | head -60 | {program} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
