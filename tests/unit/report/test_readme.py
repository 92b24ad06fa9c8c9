import shutil
from pathlib import Path

import pytest
from pairs_results import pair_params, write_pairs

from diffusionbert.config import Params, load
from diffusionbert.files import write_text
from diffusionbert.report.readme import BEGIN, END, block, main, replaced
from diffusionbert.report.sections import as_yaml

ROOT = Path(__file__).parents[3]


def test_the_committed_block_is_current() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    fresh = block(ROOT / "results" / "default", load(ROOT / "profiles" / "default.yaml"))
    assert replaced(readme, fresh) == readme, "README.md's table is out of date; run `make readme`"


def test_the_block_has_a_row_per_arm_or_says_there_is_none(results_folder: Path, params: Params) -> None:
    text = block(results_folder, params)
    assert all(f"| {arm.label} |" in text for arm in params.arms.values())
    assert "make run" in block(results_folder / "absent", params)


def test_claims_are_those_of_the_profile_that_trains_every_row(
    tmp_path: Path, results_folder: Path, params: Params
) -> None:
    default = tmp_path / "results" / "default"
    shutil.copytree(results_folder, default)
    assert f"`results/{params.profile}/claims.md`" in block(default, params)
    table = default.parent / "table"
    shutil.copytree(results_folder, table)
    write_text(table / "params.yaml", as_yaml(params.model_copy(update={"profile": "table"})))
    assert "`results/table/claims.md`" in block(default, params)


def test_conditional_generation_joins_the_block_where_it_was_run(
    tmp_path: Path, results_folder: Path, params: Params
) -> None:
    default = tmp_path / "results" / "default"
    shutil.copytree(results_folder, default)
    assert "Conditional generation" not in block(default, params)
    pairs = write_pairs(default.parent / "pairs", pair_params())
    write_text(pairs / "params.yaml", as_yaml(pair_params()))
    text = block(default, params)
    assert "**Conditional generation**: the highest BLEU is that of “DiffusionBERT, spindle, TAD”" in text
    assert "| Copy of the source | n/a | n/a | 0.4000 " in text
    assert "comparable to that of established baselines" in text
    (pairs / "pairs" / "metrics.json").unlink()
    assert "Conditional generation" not in block(default, params)


def test_only_what_is_between_the_markers_changes() -> None:
    readme = f"# Title\n{BEGIN}\nold\n{END}\nafter\n"
    assert replaced(readme, "new") == f"# Title\n{BEGIN}\nnew\n{END}\nafter\n"
    assert replaced(replaced(readme, "new"), "new") == replaced(readme, "new")


def test_a_readme_without_markers_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("# Title\n")
    params = str(ROOT / "profiles" / "default.yaml")
    assert main(["--readme", str(readme), "--params", params, "--results", str(tmp_path / "none")]) == 1
    assert "expected both markers" in capsys.readouterr().err
    assert readme.read_text() == "# Title\n"
