"""A table is read as it was written, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffusionbert.tables import read_table, write_table

COLUMNS = {"sentence": np.arange(3), "order_spindle_0.3": np.array([1.5, 2.5, 3.5])}


def test_what_was_written_is_read_and_is_the_same_bytes(tmp_path: Path) -> None:
    write_table(tmp_path / "one.parquet", COLUMNS)
    write_table(tmp_path / "two.parquet", COLUMNS)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    table = read_table(tmp_path / "one.parquet", "nats", ["sentence"])
    assert {name: table[name].to_pylist() for name in table.column_names} == {
        name: column.tolist() for name, column in COLUMNS.items()
    }


def test_no_flipped_bit_changes_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(path, COLUMNS)
    whole = path.read_bytes()
    expected = read_table(path, "nats")
    refusals = []
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << (place % 8))]) + whole[place + 1 :])
        try:
            found = read_table(path, "nats")
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert found.equals(expected), f"byte {place}"
    assert refusals
    assert all(line.startswith(f"{path}: ") for line in refusals)


def test_a_missing_file_and_a_missing_column_are_named(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    with pytest.raises(ValueError, match=r"table\.parquet: no such file; expected nats"):
        read_table(path, "nats")
    write_table(path, COLUMNS)
    with pytest.raises(ValueError, match="no column 'words'; found sentence, order_spindle"):
        read_table(path, "nats", ["words"])
