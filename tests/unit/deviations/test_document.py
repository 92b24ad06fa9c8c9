from __future__ import annotations

from pathlib import Path

import pytest

from diffusionbert.deviations.__main__ import main
from diffusionbert.deviations.catalogue import ENTRIES
from diffusionbert.deviations.document import (
    HEADLINES,
    NAMED,
    block,
    contents,
    headline,
    number,
    read_measured,
    sections,
    written,
)

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "deviations.md"
MEASURED = ROOT / "results" / "deviations"


def _measured(value: float = 0.5) -> dict:
    """Every entry with the figures that its headline names."""
    figure = {"what": "w", "unit": "nats per sentence", "value": value, "low": 0.25, "high": 0.75, "over": "n"}
    machine = {"device": "cpu", "dtype": "float32", "threads": 1}
    return {
        key: {"figures": dict.fromkeys(NAMED.findall(headline), figure), "machine": machine, "profile": "default"}
        for key, headline in HEADLINES.items()
    }


def test_the_committed_blocks_are_the_rendering_of_the_committed_figures() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert written(text, read_measured(MEASURED)) == text, "docs/deviations.md is out of date; run `make deviations`"


def test_every_numbered_entry_is_measured_or_says_why_not() -> None:
    found = sections(DOCUMENT.read_text(encoding="utf-8"))
    assert [section.number for section in found] == list(range(1, len(found) + 1))
    assert all(section.markers or section.nothing for section in found)
    assert sorted(key for section in found for key in section.markers) == sorted(HEADLINES)


def test_every_figure_is_whole_and_says_over_what() -> None:
    for key, measured in read_measured(MEASURED).items():
        assert measured["machine"].keys() == {"device", "dtype", "threads"}, key
        for figure in measured["figures"].values():
            assert figure["over"], key
            assert (figure["low"] is None) == (figure["high"] is None), key
            if figure["low"] is not None:
                assert figure["low"] <= figure["high"], key


def test_a_block_follows_its_figures_and_nothing_else_changes() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    first, second = written(text, _measured(0.5)), written(text, _measured(0.625))
    assert "0.625" in second
    assert first != second
    assert written(first, _measured(0.625)) == second
    marker = f"<!-- measured: {ENTRIES[0].key} -->"
    assert block(ENTRIES[0].key, _measured(0.625)) in second.split(marker)[1]


def test_the_contents_have_a_line_for_every_entry() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    lines = contents(text, _measured()).splitlines()
    assert sum(line.startswith("| ") and "](#" in line for line in lines) == len(sections(text))
    assert "#1-the-posterior-under-the-spindle" in lines[2]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<!-- measured: posterior -->", "<!-- measured: nothing_such -->", "posterior"),
        ("Nothing to measure: the designs", "The designs", "entry 16 has neither"),
        ("### 5. ", "### 7. ", "entry 7 stands in place 5"),
    ],
)
def test_a_document_that_lacks_something_is_refused(old: str, new: str, said: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(ValueError, match=said):
        written(text.replace(old, new, 1), _measured())


def test_a_headline_names_only_figures_that_were_measured() -> None:
    with pytest.raises(ValueError, match="no figure 'b'"):
        headline("{b}", {"a": {"value": 1.0, "unit": "1"}})


def test_a_headline_tells_a_ratio_with_its_interval() -> None:
    ratio = {"value": 0.5, "low": 0.25, "high": 0.75, "unit": "ratio of perplexities per word"}
    assert headline("× {a} by it", {"a": ratio}) == "× 0.500 (0.250 to 0.750) by it"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.12345, "share", "12.3 %"),
        (1.0, "ratio of perplexities per word", "1.000"),
        (68977.0, "1", "68,977"),
        (1494.46, "nats per sentence", "1,494"),
        (-8.1e-9, "1", "-8.1e-09"),
        (0.0, "1", "0"),
    ],
)
def test_numbers_are_shown_by_their_unit(value: float, unit: str, shown: str) -> None:
    assert number(value, unit) == shown


def test_bad_input_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "deviations.md"
    document.write_text(DOCUMENT.read_text(encoding="utf-8"), encoding="utf-8")
    common = ["--document", str(document), "--out", str(tmp_path), "--params", str(ROOT / "profiles" / "default.yaml")]
    assert main([*common, "--write-only"]) == 1
    assert "no such file" in capsys.readouterr().err
    assert main([*common, "--results", str(tmp_path), "--only", "posterior,nothing_such"]) == 1
    assert "found nothing_such; expected some of posterior" in capsys.readouterr().err
    assert main([*common, "--repeats", "1"]) == 1
    assert "--repeats: found 1; expected at least 2" in capsys.readouterr().err
