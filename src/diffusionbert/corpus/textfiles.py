"""Text of one's own: txt and txt.gz with one text a line, jsonl and parquet with one text a record."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from diffusionbert import config
from diffusionbert.corpus.documents import Document

_ROWS_AT_ONCE = 10_000


def documents(source: config.FilesSource) -> Iterator[Document]:
    """Every line or record of every file, as a sentence or as a document.

    A text is its own identity, so that equal texts fall into the same split and neither the order nor the
    place of the files matters.

    Raises ValueError for a file that is missing, empty, of an unknown kind, not UTF-8 or not well formed.
    """
    if not source.paths:
        raise ValueError("corpus.files.paths: empty; expected at least one file")
    for path in map(Path, source.paths):
        if not path.is_file():
            raise ValueError(f"{path}: no such file (corpus.files.paths)")
        if path.stat().st_size == 0:
            raise ValueError(f"{path}: empty; expected text")
        num_texts = 0
        for text in _texts(path, source.text_field):
            if text.strip():
                num_texts += 1
                yield Document(identity=text.strip(), text=text, is_sentence=source.unit == "sentence")
        if num_texts == 0:
            raise ValueError(f"{path}: only white space; expected text")


def _texts(path: Path, field: str) -> Iterator[str]:
    if path.name.endswith(".txt"):
        return (text for _, text in _lines(path, compressed=False))
    if path.name.endswith(".txt.gz"):
        return (text for _, text in _lines(path, compressed=True))
    if path.name.endswith(".jsonl"):
        return _records(path, field)
    if path.name.endswith(".parquet"):
        return _rows(path, field)
    raise ValueError(f"{path}: unknown kind of file; expected .txt, .txt.gz, .jsonl or .parquet")


def _lines(path: Path, *, compressed: bool) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, from 1."""
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    found = f"line {number} has byte 0x{line[error.start]:02x} at {error.start}"
                    raise ValueError(f"{path}: not UTF-8 ({found})") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error})") from None


def _records(path: Path, field: str) -> Iterator[str]:
    for number, line in _lines(path, compressed=False):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: line {number} is not JSON ({error.msg})") from None
        text = record.get(field) if isinstance(record, dict) else None
        if not isinstance(text, str):
            raise ValueError(f"{path}: line {number} has no text under '{field}' (corpus.files.text_field)")
        yield text


def _rows(path: Path, field: str) -> Iterator[str]:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            names = file.schema_arrow.names
            if field not in names:
                found = f"found {', '.join(names)}"
                raise ValueError(f"{path}: no column '{field}' (corpus.files.text_field); {found}")
            if not pa.types.is_string(kind := file.schema_arrow.field(field).type) and not pa.types.is_large_string(
                kind
            ):
                raise ValueError(f"{path}: column '{field}' holds {kind}; expected string")
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[field]):
                yield from (text for text in batch.column(0).to_pylist() if text is not None)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 (column '{field}': {error.reason})") from None
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a parquet file ({str(error).splitlines()[0]})") from None
