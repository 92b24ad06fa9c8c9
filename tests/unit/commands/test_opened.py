"""An arm by its folder or its name: equal to what the stages load, and one clear line where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from workflow.profiles import merged

from diffusionbert.arms.build import saved_arm
from diffusionbert.arms.saved import read_vocabulary, save_arm
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
