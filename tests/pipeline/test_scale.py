"""Does docs/scale.md tell the figures that the trials kept, and can a trial only write where it should?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workflow import bench_scale_page, lm1b_trial, remote_trial, scale, slurm_trial

ROOT = Path(__file__).parents[2]


def lm1b_told(figures: dict[str, Any]) -> str:
    return lm1b_trial.told(figures, json.loads((ROOT / bench_scale_page.RESULT).read_text(encoding="utf-8")))


TRIALS = [("slurm", slurm_trial.told), ("remote", remote_trial.told), ("lm1b", lm1b_told)]


@pytest.mark.parametrize(("name", "told"), TRIALS)
def test_the_page_tells_the_kept_figures(name: str, told: Callable[[dict[str, Any]], str]) -> None:
    figures = json.loads((ROOT / scale.FIGURES / f"{name}.json").read_text(encoding="utf-8"))
    begin = f"<!-- {name}: begin (written by `make test-{name}`) -->\n"
    page = (ROOT / scale.PAGE).read_text(encoding="utf-8")
    assert begin + told(figures).strip() + f"\n<!-- {name}: end -->" in page


def test_a_trial_rewrites_its_block_alone(tmp_path: Path) -> None:
    page = tmp_path / scale.PAGE
    page.parent.mkdir()
    text = "before\n<!-- slurm: begin (written by `make test-slurm`) -->\n{}<!-- slurm: end -->\nafter\n"
    page.write_text(text.format("old\n"))
    for _ in range(2):
        scale.keep("slurm", {"jobs": 3}, "3 jobs", tmp_path)
        assert page.read_text() == text.format("3 jobs\n")
    assert json.loads((tmp_path / scale.FIGURES / "slurm.json").read_text()) == {"jobs": 3}
    with pytest.raises(ValueError, match=r"docs/scale.md: found no lines '<!-- remote: begin"):
        scale.keep("remote", {}, "", tmp_path)
    assert not (tmp_path / scale.FIGURES / "remote.json").exists()
