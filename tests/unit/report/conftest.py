from pathlib import Path

import pytest
from synthetic_results import make_params, write_results

from diffusionbert.config import Params
from diffusionbert.report import plots


@pytest.fixture
def params() -> Params:
    return make_params()


@pytest.fixture
def results_folder(tmp_path: Path, params: Params) -> Path:
    return write_results(tmp_path / "results" / "synthetic", params)


@pytest.fixture
def no_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes a second a page; tests that look at tables and words do without."""
    for name in ("loss_curves", "validation_curves", "protocols", "spindle_curves", "zipf", "speed", "audit"):
        monkeypatch.setattr(plots, name, lambda *_: "<svg></svg>")
