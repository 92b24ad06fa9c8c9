"""The second half of `make bench`: what it adds to the JSON, and the page that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from workflow import bench, bench_bleu

from diffusionbert.bench import page
from diffusionbert.bench.figures import Figure
from diffusionbert.files import read_json, write_json

RESULT = {
    "machine": dict.fromkeys(
        ["device", "processor", "cores", "threads", "dtype", "python", "torch", "transformers"], "anything"
    ),
    "load_per_core_before": 0.5,
    "size": "small",
    "formula": "f",
    "figures": {"steps": [Figure("a step", 1.05, "x", 1.1).plain()]},
}


def test_bleu_beside_nltk_is_a_ratio_for_all_samples() -> None:
    figures = bench_bleu.scores(samples=12, references=20, repeats=1)
    assert [figure.what.partition(" ")[0] for figure in figures] == ["Self-BLEU", "BLEU"]
    assert all(float(figure.value) > 0 for figure in figures)


def test_bleu_of_many_is_measured_in_a_process_of_its_own() -> None:
    of_bleu, of_self, peak = bench_bleu.full_size(samples=12, references=1500)
    assert "against 1,500 sentences" in of_bleu.what
    assert 0 < float(of_self.value) < float(of_bleu.value)
    assert float(peak.value) > 10


def test_the_second_half_adds_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, written = tmp_path / "cpu.json", tmp_path / "page.md"
    write_json(held, RESULT)
    monkeypatch.setattr(bench, "engines", lambda root: [Figure("dvc repro with nothing to do", 7.0, "s", 6.0)])
    monkeypatch.setattr(bench, "scores", lambda: [Figure("BLEU", 100.0, "x")])
    monkeypatch.setattr(bench, "full_size", lambda: [Figure("BLEU of many", 10.0, "s", 60.0)])
    assert bench.main(["--json", str(held), "--page", str(written)]) == 0
    result = read_json(held)
    assert set(result["figures"]) == {"steps", "engines", "BLEU"}
    others = [read_json(path) if path.exists() else None for path in (page.GPU, page.FAULTS)]
    assert written.read_text(encoding="utf-8") == page.rendered(result, *others)
    assert "- Missed: dvc repro with nothing to do: 7 s, missed by 17%." in page.rendered(result, *others)


def test_without_the_first_half_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--json", str(tmp_path / "none.json"), "--page", str(tmp_path / "page.md")]) == 1
    assert "none.json: no such file" in capsys.readouterr().err
