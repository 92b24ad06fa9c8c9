"""Parquet tables of which a changed byte is noticed: pages bear checksums, the columns' names a sum of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diffusionbert.files import replacing

_NAMES = b"sha256 of the columns' names"  # Parquet has checksums for pages and none for its footer


def write_table(path: Path, columns: Mapping[str, Any]) -> None:
    """Columns by name, whole or not at all; the same columns are the same bytes."""
    table = pa.table(dict(columns))
    with replacing(path) as aside:
        pq.write_table(table.replace_schema_metadata({_NAMES: _sum(table)}), aside, write_page_checksum=True)


def read_table(path: Path, what: str, columns: Sequence[str] = ()) -> pa.Table:
    """The table; raises ValueError naming the file when it is missing, damaged, or lacks one of `columns`.

    `what` is said of a file that is none: "a table of token information".
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        as_written = (table.schema.metadata or {}).get(_NAMES) == _sum(table)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; expected {what}") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not {what} ({str(error).splitlines()[0]})") from None
    if not as_written:
        raise ValueError(f"{path}: not {what} as it was written: the names of its columns do not match their sum")
    if missing := set(columns) - set(table.column_names):
        raise ValueError(f"{path}: no column '{min(missing)}'; found {', '.join(table.column_names)}")
    return table


def _sum(table: pa.Table) -> bytes:
    return hashlib.sha256("\n".join(table.column_names).encode()).hexdigest().encode()
