"""Has anything moved? The ci profile's metrics against the committed ones, figure by figure."""

from __future__ import annotations

from pathlib import Path

import pytest
from workflow import golden

from diffusionbert.files import read_json

ROOT = Path(__file__).parents[2]


@pytest.mark.engines
@pytest.mark.timeout(900)  # two minutes alone; the machine may be busy
def test_the_metrics_of_the_ci_profile_are_the_golden_ones(tmp_path: Path) -> None:
    """`make golden` renews them and shows the difference."""
    moved = golden.compared(read_json(ROOT / golden.GOLDEN), golden.measured(ROOT, tmp_path / "ci"))
    assert not moved, "\n" + golden.table(moved)


def test_a_figure_outside_its_tolerance_has_moved() -> None:
    name = "evaluate/arm/protocols/valid/nats_per_sentence/value"
    assert not golden.compared({name: 100.0}, {name: 100.4})
    (moved,) = golden.compared({name: 100.0}, {name: 100.6})
    assert (moved.name, moved.golden, moved.found) == (name, 100.0, 100.6)
    assert name in golden.table([moved])


def test_a_count_may_not_move_at_all() -> None:
    assert golden.compared({"corpus/sentences/train": 100.0}, {"corpus/sentences/train": 101.0})


@pytest.mark.parametrize(("before", "after"), [({"corpus/a": 1.0}, {}), ({}, {"corpus/a": 1.0})])
def test_a_figure_that_is_gone_or_new_has_moved(before: dict[str, float], after: dict[str, float]) -> None:
    assert len(golden.compared(before, after)) == 1


def test_numbers_are_named_by_stage_instance_and_key(tmp_path: Path) -> None:
    (tmp_path / "evaluate/arm").mkdir(parents=True)
    (tmp_path / "evaluate/arm/metrics.json").write_text('{"arm": "arm", "figure": {"value": 2, "seconds": 3}}')
    assert golden.figures(tmp_path) == {"evaluate/arm/figure/value": 2.0}


def test_every_tolerance_fits_some_golden_figure() -> None:
    """A pattern that fits nothing is a tolerance nobody has."""
    names = list(read_json(ROOT / golden.GOLDEN))
    chosen = {
        max((pattern for pattern in golden.TOLERANCES if golden.fnmatchcase(name, pattern)), key=len) for name in names
    }
    assert chosen == set(golden.TOLERANCES)
