"""`make bench-scale`: corpora in LM1B's layout, and the page that is made of the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from workflow import bench_scale_page as page
from workflow.bench_scale_corpus import ARCHIVE, base_sentences, write_project

from diffusionbert.config import load
from diffusionbert.corpus import lm1b
from diffusionbert.corpus.lm1b import PUBLISHED_COUNTS
from diffusionbert.files import write_json

ROOT = Path(__file__).parents[3]
SIZES = {10_000: 1.0, 100_000: 10.0, 1_000_000: 100.0}


def test_the_corpus_has_lm1b_s_layout(
    grammar_text: Path, grammar_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = base_sentences(grammar_text)
    for folder in ("a", "b"):
        write_project(tmp_path / folder, ROOT, base, 600, grammar_shards / "tokenizer", workers=2)
    params = load(tmp_path / "a" / "params.yaml")
    assert params.tokenize.workers == 2
    assert params.corpus.lm1b is not None
    assert params.corpus.lm1b.archive == ARCHIVE
    documents = []
    for folder in ("a", "b"):
        monkeypatch.chdir(tmp_path / folder)
        documents.append(list(lm1b.documents(params.corpus.lm1b)))
    assert documents[0] == documents[1], "the seed alone decides"
    published = [document.published for document in documents[0]]
    assert (published.count("train"), published.count("test")) == (600, round(600 * 306_688 / 30_301_028))
    assert {document.text for document in documents[0]} <= set(base)


def _figures(scale: float) -> dict[str, Any]:
    stage = {"seconds": 2 + scale, "processor_seconds": 1 + scale, "peak_memory_mb": 400.0, "private_memory_mb": 300.0}
    return {
        **dict.fromkeys(page.STAGES, stage),
        "loader": {
            "tokens": 8_000_000,
            "seconds": 1.0,
            "processor_seconds": 0.9,
            "padding": 0.04,
            "first_batch_seconds": 1,
            "peak_memory_mb": 200.0,
            "private_memory_mb": 100.0,
        },
        "counts": {"tokens": 2_000_000, "seconds": 0.05, "processor_seconds": 0.01},
        "encode_batch": {"sentences": 100, "seconds": 0.01, "processor_seconds": 0.02},
        "sentences": {"train": round(100 * scale), "valid": 0, "test": 0},
        "text_bytes": 1000,
        "shard_bytes": 500,
        "load_per_core_before": 0.1,
    }


def test_the_line_goes_through_the_largest_sizes() -> None:
    sizes: page.Sizes = {size: _figures(scale) for size, scale in SIZES.items()}
    constant, slope = page.line_through(sizes, lambda values: float(values["corpus"]["seconds"]))
    assert constant + slope * 1_000_000 == pytest.approx(102)
    assert constant + slope * PUBLISHED_COUNTS["train"] == pytest.approx(2 + 3030.1028)
    assert page.line_through({7: _figures(3.0)}, lambda values: float(values["corpus"]["seconds"])) == (5.0, 0.0)


def test_the_page_tells_targets_and_what_was_not_measured(tmp_path: Path) -> None:
    sizes = {str(size): _figures(scale) for size, scale in SIZES.items()}
    machine = {"processor": "A processor", "cores": 2, "python": "3.11"}
    write_json(tmp_path / "scale.json", {"machine": machine, "workers": 2, "base_sentences": 99, "sizes": sizes})
    page.write(tmp_path / "scale-data.md", tmp_path / "scale.json")
    text = (tmp_path / "scale-data.md").read_text()
    # 9,000 sentences more in 90 s more, against 5,000 a second of processor time
    assert "| tokenize against `encode_batch` | 0.02 x | 0.01 x | >= 0.9 x | missed |" in text
    assert "| counts, s per million tokens | 0.0050 | 0.0250 | <= 0.02 | met |" in text
    assert "| loader of batches of 128, M tokens/s | 8.9 | 8.0 | >= 5 | met |" in text
    assert "| loader, padding | 4.0% |  | <= 10 % | met |" in text
    assert "Extrapolated to 30,301,028 training sentences" in text
    assert "not measured" in text
    assert "| corpus | 3,032 | 51 | 300 |" in text
    picture = (tmp_path / "scale-data.svg").read_text()
    page.write(tmp_path / "scale-data.md", tmp_path / "scale.json")
    assert picture == (tmp_path / "scale-data.svg").read_text()
