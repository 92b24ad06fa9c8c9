"""Text files of every kind, and every way they can be wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffusionbert import config
from diffusionbert.corpus.textfiles import documents

TEXTS = ["One sentence is here.", "Größe ist nicht alles."]


def _read(path: Path, **settings: object) -> list[str]:
    source = config.FilesSource.model_validate({"paths": [str(path)], **settings})
    return [document.text for document in documents(source)]


def _write(path: Path) -> Path:
    lines = "".join(text + "\n" for text in TEXTS).encode()
    match path.suffixes:
        case [".txt"]:
            path.write_bytes(lines)
        case [".txt", ".gz"]:
            path.write_bytes(gzip.compress(lines, mtime=0))
        case [".jsonl"]:
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
        case [".parquet"]:
            pq.write_table(pa.table({"text": TEXTS}), path)
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.parquet"])
def test_every_kind_gives_the_same_texts(tmp_path: Path, name: str) -> None:
    assert _read(_write(tmp_path / name)) == TEXTS


def test_unit_and_identity(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.txt")
    for unit in ("sentence", "document"):
        source = config.FilesSource.model_validate({"paths": [str(path)], "unit": unit})
        read = list(documents(source))
        assert [document.is_sentence for document in read] == [unit == "sentence"] * 2
        assert [document.identity for document in read] == TEXTS, "the text, wherever its file lies"


def test_a_flipped_byte_of_a_parquet_file_is_told_with_the_file_or_loses_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"the cat sat on mat {i} ." for i in range(300)]}), path, compression="gzip")
    whole = path.read_bytes()
    told: list[str] = []
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        try:
            found = _read(path)
        except ValueError as error:
            told.append(str(error))
        else:
            assert len(found) == 300
    assert len(told) > 100
    assert all(line.startswith(f"{path}: ") for line in told)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", None, r"a\.txt: no such file \(corpus\.files\.paths\)"),
        ("a.txt", b"", r"a\.txt: empty"),
        ("a.txt", b" \n\n", r"a\.txt: only white space"),
        ("a.txt", b"fine\nGr\xf6\xdfe\n", r"a\.txt: not UTF-8 \(line 2 has byte 0xf6 at 2\)"),
        ("a.txt.gz", b"no gzip", r"a\.txt\.gz: not a whole gzip file"),
        (
            "a.txt.gz",
            gzip.compress(b"long enough to be cut" * 50, mtime=0)[:-12],
            r"a\.txt\.gz: not a whole gzip file",
        ),
        ("a.jsonl", b'{"text": "x"}\n{"text"\n', r"a\.jsonl: line 2 is not JSON"),
        (
            "a.jsonl",
            b'{"body": "x"}\n',
            r"a\.jsonl: line 1 has no text under 'text' \(corpus\.files\.text_field\)",
        ),
        ("a.parquet", b"no parquet", r"a\.parquet: not a parquet file"),
        ("a.doc", b"x", r"a\.doc: unknown kind of file; expected \.txt"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        _read(path)
    assert "\n" not in str(caught.value)


def test_a_parquet_file_needs_the_column(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": TEXTS, "year": [1, 2]}), path)
    assert _read(path, text_field="body") == TEXTS
    with pytest.raises(ValueError, match=r"no column 'text'.*; found body, year"):
        _read(path)
    with pytest.raises(ValueError, match="column 'year' holds int64; expected string"):
        _read(path, text_field="year")
