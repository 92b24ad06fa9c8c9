"""A store that is built once, and projects that use a copy of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from diffusionbert.tracking.store import Store

PARAMS = "profile: tiny\ntrain: {steps: 10, learning_rate: 1.0e-3}\narms:\n  a: {seed: 0}\n  b: {seed: 1}\n"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store: building one takes seconds."""
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Store.open(root)
    return root / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own with an empty store; tracking is on, and no engine is above."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(PARAMS)
    shutil.copyfile(built, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIFFUSIONBERT_TRACKING", "on")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("diffusionbert.tracking.engine.find", lambda: None)
    return tmp_path
