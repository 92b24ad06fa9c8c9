"""LM1B from its archive and from parquet; counts are checked."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffusionbert import config
from diffusionbert.corpus import lm1b

ROOT = "1-billion-word-language-modeling-benchmark-r13output"
TRAIN = ["The U.S. is big .", "He said : no ."]
TEST = ["A held-out line ."]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / f"{ROOT}.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name, lines in {
            "README": ["not text"],
            "training-monolingual.tokenized.shuffled/news.en-00001-of-00100": TRAIN,
            "heldout-monolingual.tokenized.shuffled/news.en.heldout-00000-of-00050": TEST,
        }.items():
            data = "".join(line + "\n" for line in lines).encode()
            info = tarfile.TarInfo(f"{ROOT}/{name}")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository" / "data"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"text": TRAIN}), folder / "train-00000-of-00001.parquet")
    pq.write_table(pa.table({"text": TEST}), folder / "test-00000-of-00001.parquet")
    return folder.parent


def _read(**settings: object) -> list[tuple[str | None, str]]:
    source = config.Lm1bSource.model_validate({"repository": "nobody/nothing", **settings})
    return [(document.published, document.text) for document in lm1b.documents(source)]


EXPECTED = [("train", TRAIN[0]), ("train", TRAIN[1]), ("test", TEST[0])]


def test_the_archive_and_the_hub_give_the_same(
    archive: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    assert _read(archive=str(archive), allow_count_mismatch=True) == EXPECTED
    assert _read(repository=str(repository), allow_count_mismatch=True) == EXPECTED


def test_the_published_counts_pass(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm1b, "PUBLISHED_COUNTS", {"train": 2, "test": 1})
    assert _read(archive=str(archive)) == EXPECTED


def test_other_counts_are_an_error(archive: Path) -> None:
    with pytest.raises(ValueError, match=r"split 'train' has 2 sentences; LM1B has 30,301,028 .*allow_count_mismatch"):
        _read(archive=str(archive))


def test_a_cut_archive_is_named(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"tar\.gz: not a whole \.tar\.gz archive"):
        _read(archive=str(archive), allow_count_mismatch=True)
    with pytest.raises(ValueError, match="no such file"):
        _read(archive=str(archive) + "x")


def test_an_unreachable_hub_says_what_to_do() -> None:
    with pytest.raises(
        OSError, match=r"corpus\.lm1b\.repository: 'nobody/nothing' .*HF_HOME.*corpus\.lm1b\.archive"
    ) as caught:
        _read()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('He said , " no . "', 'He said, "no."'),
        ("It 's 5 $ 3 ( so ) ?", "It's 5 $3 (so)?"),
        ("Well , it ends .", "Well, it ends."),
    ],
)
def test_detokenize(text: str, expected: str) -> None:
    assert lm1b.detokenize(text) == expected
