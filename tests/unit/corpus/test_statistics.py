"""Counts, entropy, Zipf's curve, and the table that the rest of the project reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.special import Special
from diffusionbert.corpus.statistics import (
    InformationTable,
    candidate_mask,
    count_tokens,
    entropy,
    read_information,
    write_information,
    zipf_curve,
    zipf_exponent,
)
from diffusionbert.diffusion.information import token_information

SPECIAL = Special(8, 0, 4, 2, 3, 1, not_candidates=(0, 2, 3, 4))


@pytest.fixture
def table() -> InformationTable:
    counts, candidates = np.array([0, 1, 0, 0, 0, 5, 3, 0]), candidate_mask(SPECIAL)
    return InformationTable(counts, candidates, *token_information(counts, candidates, smoothing=1.0))


def test_counts_are_those_of_the_tokens(grammar_shards: Path) -> None:
    shards = Shards.open(grammar_shards)
    split = shards["train"]
    counts = count_tokens(split, shards.special.vocab_size)
    assert counts.sum() == split.num_tokens
    every = [token for i in range(len(split)) for token in split.tokens(i).tolist()]
    assert all(counts[token] == every.count(token) for token in set(every[:200]))
    with pytest.raises(ValueError, match="the vocabulary has 5"):
        count_tokens(split, 5)


def test_candidates() -> None:
    assert candidate_mask(SPECIAL).tolist() == [False, True, False, False, False, True, True, True]


def test_the_table_comes_back(tmp_path: Path, table: InformationTable) -> None:
    path = tmp_path / "table.parquet"
    write_information(path, table, list("abcdefgh"))
    read = read_information(path, SPECIAL)
    for name in ("counts", "candidates", "probability", "information"):
        expected = getattr(table, name)
        assert getattr(read, name).dtype == expected.dtype
        np.testing.assert_array_equal(getattr(read, name), expected)
    assert np.isnan(read.information).tolist() == (~read.candidates).tolist()
    assert pq.read_table(path).column_names == [
        "token_id",
        "token",
        "candidate",
        "count",
        "probability",
        "information",
    ]


def test_a_flipped_byte_is_refused_or_changes_nothing(tmp_path: Path, table: InformationTable) -> None:
    """Pages bear a sum; what a flip elsewhere leaves readable must say the same."""
    path = tmp_path / "table.parquet"
    write_information(path, table, list("abcdefgh"))
    whole = path.read_bytes()
    refused = same = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            read = read_information(path, SPECIAL)
        except ValueError as error:
            refused += str(error).startswith(str(path))
        else:
            for name in ("counts", "candidates", "probability", "information"):
                np.testing.assert_array_equal(getattr(read, name), getattr(table, name))
            same += 1
    assert refused + same == len(whole)
    assert refused > len(whole) / 4


def test_another_vocabulary_is_refused(tmp_path: Path, table: InformationTable) -> None:
    path = tmp_path / "table.parquet"
    write_information(path, table, list("abcdefgh"))
    with pytest.raises(ValueError, match=r"table\.parquet: 8 tokens; the shards' vocabulary has 9"):
        read_information(path, Special(9, 0, 4, 2, 3, 1, not_candidates=(0,)))
    with pytest.raises(ValueError, match="its candidate tokens are not those"):
        read_information(path, Special(8, 0, 4, 2, 3, 1, not_candidates=(0,)))


def test_no_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"table\.parquet: no such file; expected a table of token information"):
        read_information(tmp_path / "table.parquet", SPECIAL)
    (tmp_path / "table.parquet").write_bytes(b"something else")
    with pytest.raises(ValueError, match="not a table of token information"):
        read_information(tmp_path / "table.parquet", SPECIAL)


def test_entropy() -> None:
    assert entropy(np.array([3, 3, 0, 3, 3])) == pytest.approx(np.log(4))
    assert entropy(np.array([7, 0])) == 0


def test_zipf() -> None:
    counts = np.round(1e6 * np.arange(1.0, 5001.0) ** -1.2).astype(np.int64)
    curve = zipf_curve(np.random.default_rng(0).permutation(counts))
    assert len(curve) <= 200
    assert curve[0] == (1, 1_000_000)
    assert curve[-1][0] == 5000
    assert zipf_exponent(curve) == pytest.approx(1.2, abs=0.01)
    with pytest.raises(ValueError, match="1 distinct"):
        zipf_exponent(zipf_curve(np.array([4])))
