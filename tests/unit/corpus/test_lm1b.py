"""LM1B from its archive and from parquet; counts are checked."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffusionbert import config
from diffusionbert.corpus import lm1b
from diffusionbert.files import sha256

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


def test_the_archive_and_the_hub_give_the_same(archive: Path, repository: Path) -> None:
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


class _Hub:
    """The hub's two calls, answered from a folder; a file is fetched into the cache whole or not at all."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.fetched: list[str] = []
        self.breaks_at: str | None = None

    def dataset_info(self, repository: str, revision: str | None) -> Any:
        names = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]
        return SimpleNamespace(sha="0" * 40, siblings=[SimpleNamespace(rfilename=name) for name in names])

    def hf_hub_download(self, repository: str, name: str, *, repo_type: str, revision: str) -> str:
        assert (repo_type, revision) == ("dataset", "0" * 40)
        place = self.cache / name
        if not place.exists():
            if name == self.breaks_at:
                raise OSError("connection lost")
            self.fetched.append(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes((self.folder / name).read_bytes())
        return str(place)

    def snapshot_download(self, repository: str, **settings: Any) -> str:
        if not self.cache.exists():
            raise OSError("nothing in the cache")
        return str(self.cache)


@pytest.fixture
def hub(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Hub:
    data = repository / "data"
    (data / "train-00000-of-00001.parquet").unlink()
    for number, text in enumerate(TRAIN):
        pq.write_table(pa.table({"text": [text]}), data / f"train-{number:05d}-of-00002.parquet")
    (repository / "README.md").write_text("a train-of-thought.parquet.txt")
    hub = _Hub(repository, tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub.hf_hub_download)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    return hub


def test_the_hub_is_fetched_file_by_file_and_once(hub: _Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    second = "data/train-00001-of-00002.parquet"
    hub.breaks_at = second
    with pytest.raises(OSError, match=r"could not be loaded \(connection lost\); files that came are kept"):
        _read(allow_count_mismatch=True)
    with monkeypatch.context() as patch:
        patch.setattr(hub, "dataset_info", _unreachable)
        with pytest.raises(ValueError, match=r"1 parquet files of a split; their names say 2; run again"):
            _read(allow_count_mismatch=True)
    hub.breaks_at = None
    assert _read(allow_count_mismatch=True) == EXPECTED
    assert sorted(hub.fetched) == sorted(set(hub.fetched)), "what had come is not fetched again"
    assert second in hub.fetched
    monkeypatch.setattr(hub, "dataset_info", _unreachable)
    assert _read(allow_count_mismatch=True) == EXPECTED, "the cache serves without the hub"


def _unreachable(*_: Any, **__: Any) -> Any:
    raise ConnectionError("offline mode is enabled")


def test_the_hub_s_counts_are_checked_before_the_first_sentence(hub: _Hub) -> None:
    with pytest.raises(ValueError, match=r"split 'train' has 2 sentences; LM1B has 30,301,028"):
        next(lm1b.documents(config.Lm1bSource(repository="nobody/nothing")))


def test_a_column_of_another_name_is_told(repository: Path) -> None:
    pq.write_table(pa.table({"sentence": TRAIN}), repository / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"no column 'text'; found sentence"):
        _read(repository=str(repository), allow_count_mismatch=True)
    (repository / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"not a whole parquet file"):
        _read(repository=str(repository), allow_count_mismatch=True)


def test_a_column_that_is_no_text_is_told(repository: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), repository / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"train-00000.*\.parquet: the column 'text' holds int64; expected text"):
        _read(repository=str(repository), allow_count_mismatch=True)
    words = pa.table({"text": pa.array(TRAIN).dictionary_encode()})
    pq.write_table(words, repository / "data" / "train-00000-of-00001.parquet")
    assert _read(repository=str(repository), allow_count_mismatch=True) == EXPECTED


def test_every_flipped_byte_of_a_parquet_file_is_told_with_the_file_or_changes_no_count(repository: Path) -> None:
    """Pages without a checksum, as the hub has them: a letter can change unseen, a row cannot."""
    path = repository / "data" / "train-00000-of-00001.parquet"
    pq.write_table(pa.table({"text": [f"the cat sat on mat {i} ." for i in range(300)]}), path, compression="gzip")
    whole = path.read_bytes()
    told: list[str] = []
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        try:
            found = _read(repository=str(repository), allow_count_mismatch=True)
        except ValueError as error:
            told.append(str(error))
        else:
            assert len(found) == 301
    assert len(told) > 100
    assert all(line.startswith((f"{path}: ", f"{repository}: ")) and "\n" not in line for line in told)


def test_an_archive_of_another_sum_is_refused(archive: Path) -> None:
    assert _read(archive=str(archive), archive_sha256=sha256(archive), allow_count_mismatch=True) == EXPECTED
    with pytest.raises(ValueError, match=r"archive_sha256: .*tar\.gz has sha256 .*; expected 0000"):
        _read(archive=str(archive), archive_sha256="0" * 64, allow_count_mismatch=True)
    with pytest.raises(ValueError, match="a URL needs the key 'archive_sha256'"):
        config.Lm1bSource(repository="r", archive="https://example.org/lm1b.tar.gz")


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
