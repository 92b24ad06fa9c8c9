"""Token shards read through a memory map, without a copy; checked against their manifest before use.

A shard is an Arrow IPC stream of one record batch with the columns `tokens: list<uint16>` and `words:
uint16`, so that `datasets.Dataset.from_file` and pandas open it too. One of pairs has `given: uint16`, how many leading
tokens of a row are its source and the separator behind it, and the texts of both halves as they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffusionbert.corpus.special import Special, tokenizer_hash
from diffusionbert.corpus.text import SPLITS
from diffusionbert.files import read_json, sha256

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer"
FORMAT = 2
SUM = "sha256"  # of the manifest's other entries
SCHEMA = pa.schema(
    [
        pa.field("tokens", pa.list_(pa.uint16()), nullable=False),
        pa.field("words", pa.uint16(), nullable=False),
    ]
)
PAIRS_SCHEMA = pa.schema(
    [
        *SCHEMA,
        pa.field("given", pa.uint16(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("target", pa.string(), nullable=False),
    ]
)


def sum_of(manifest: dict[str, Any]) -> str:
    """sha256 of a manifest's entries."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Shards:
    """A folder of token shards: `shards["test"]` is the test split."""

    folder: Path
    special: Special
    key: str  # sha256 of the manifest
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Shards:
        """Checks every shard and the tokenizer against the manifest.

        Raises ValueError naming the file that is missing, truncated or changed.
        """
        path = folder / MANIFEST
        manifest = read_json(path)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise ValueError(f"{path}: not a manifest of token shards, format {FORMAT}")
        if manifest.pop(SUM, None) != sum_of(manifest):
            raise ValueError(
                f"{path}: changed since it was written: its sum does not match; run the tokenize stage again"
            )
        for split in SPLITS:
            for entry in manifest["splits"][split]["shards"]:
                _check(folder / entry["file"], entry)
        found = tokenizer_hash(folder / TOKENIZER)
        if found != manifest["tokenizer"]["sha256"]:
            expected = manifest["tokenizer"]["sha256"]
            raise ValueError(f"{folder / TOKENIZER}: changed since the manifest: hash {found}; expected {expected}")
        return cls(folder, Special.from_dict(manifest["special"]), sha256(path), manifest)

    def __getitem__(self, split: str) -> Split:
        described = self.manifest["splits"][split]
        paths = tuple(self.folder / entry["file"] for entry in described["shards"])
        return Split(split, paths, described["sentences"], described["tokens"], self.has_pairs)

    @property
    def packed(self) -> bool:
        """Whether a row is a block of several sentences; shards that do not say are not."""
        return bool(self.manifest.get("packed", False))

    @property
    def has_pairs(self) -> bool:
        """Whether a row is a source and its target."""
        return "pairs" in self.manifest

    @property
    def padded(self) -> bool:
        """Whether targets are filled up with end tokens to one length."""
        return self.has_pairs and bool(self.manifest["pairs"]["padded"])

    @property
    def tokenizer_folder(self) -> Path:
        return self.folder / TOKENIZER


@dataclass(frozen=True)
class Split:
    """One split's sentences as token ids, in the order of its shards; opened at first use."""

    name: str
    paths: tuple[Path, ...]
    num_sentences: int
    num_tokens: int
    has_pairs: bool = False

    def __len__(self) -> int:
        return self.num_sentences

    def tokens(self, index: int) -> NDArray[np.uint16]:
        """The token ids of a sentence: a view of the memory map, read-only."""
        if not 0 <= index < self.num_sentences:
            raise IndexError(f"sentence {index} of the split '{self.name}', which has {self.num_sentences}")
        shard = int(np.searchsorted(self._starts, index, side="right")) - 1
        offsets, row = self._offsets[shard], index - int(self._starts[shard])
        return self.flat[shard][offsets[row] : offsets[row + 1]]

    def several(self, index: NDArray[np.int64]) -> Iterator[NDArray[np.uint16]]:
        """The token ids of several sentences, in that order: views of the memory maps, read-only.

        What can be looked up for all at once is; a slice of its shard's map is left for every sentence.
        """
        if len(index) and not 0 <= index.min() <= index.max() < self.num_sentences:
            raise IndexError(f"sentences of the split '{self.name}', which has {self.num_sentences}")
        shards = np.searchsorted(self._starts, index, side="right") - 1
        rows = (index - self._starts[shards]).tolist()
        flat, offsets = self.flat, self._offsets
        for shard, row in zip(shards.tolist(), rows, strict=True):
            bounds = offsets[shard]
            yield flat[shard][bounds[row] : bounds[row + 1]]

    @cached_property
    def flat(self) -> list[NDArray[np.uint16]]:
        """All token ids, one array a shard: views of the memory maps, read-only."""
        return [batch.column("tokens").flatten().to_numpy(zero_copy_only=True) for batch in self._batches]

    @property
    def counted(self) -> Iterator[NDArray[np.uint16]]:
        """The token ids that are scored, one array a shard: all, or those of the targets where rows are pairs."""
        for number, (flat, bounds) in enumerate(zip(self.flat, self._offsets, strict=True)):
            if self.given is None:
                yield flat
                continue
            first = int(self._starts[number])
            given = self.given[first : first + len(bounds) - 1]
            place = np.arange(len(flat)) - np.repeat(bounds[:-1], np.diff(bounds))
            yield flat[place >= np.repeat(given, np.diff(bounds))]

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """The number of tokens of every sentence, (n,)."""
        return np.concatenate([np.diff(offsets) for offsets in self._offsets]).astype(np.int32, copy=False)

    @cached_property
    def words(self) -> NDArray[np.uint16]:
        """The number of words of every sentence's truncated text, (n,)."""
        return np.concatenate([batch.column("words").to_numpy(zero_copy_only=True) for batch in self._batches])

    @cached_property
    def given(self) -> NDArray[np.uint16] | None:
        """How many leading tokens of every row are given, (n,); None where rows are no pairs."""
        if not self.has_pairs:
            return None
        return np.concatenate([batch.column("given").to_numpy(zero_copy_only=True) for batch in self._batches])

    def texts(self, half: Literal["source", "target"], count: int) -> list[str]:
        """The sources or the targets of the first pairs, as they were before tokenisation."""
        found: list[str] = []
        for batch in self._batches:
            found += batch.column(half).slice(0, count - len(found)).to_pylist()
        return found

    @cached_property
    def _batches(self) -> list[pa.RecordBatch]:
        return [_open(path, PAIRS_SCHEMA if self.has_pairs else SCHEMA) for path in self.paths]

    @cached_property
    def _offsets(self) -> list[NDArray[np.int32]]:
        return [batch.column("tokens").offsets.to_numpy(zero_copy_only=True) for batch in self._batches]

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The number of the first sentence of every shard."""
        return np.cumsum([0, *(batch.num_rows for batch in self._batches[:-1])])


def _open(path: Path, schema: pa.Schema) -> pa.RecordBatch:
    try:
        reader = pa.ipc.open_stream(pa.memory_map(str(path), "r"))
        batches = list(reader)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: not an Arrow stream ({str(error).splitlines()[0]})") from None
    if len(batches) != 1 or not reader.schema.equals(schema):
        raise ValueError(
            f"{path}: {len(batches)} record batches of {reader.schema.names}; expected 1 of {schema.names}"
        )
    return batches[0]


def _check(path: Path, entry: dict[str, Any]) -> None:
    if not path.is_file():
        raise ValueError(f"{path}: missing, though the manifest lists it; run the tokenize stage again")
    if (size := path.stat().st_size) != entry["bytes"]:
        raise ValueError(f"{path}: {size:,} bytes; the manifest says {entry['bytes']:,}: truncated or written over")
    if (found := sha256(path)) != entry["sha256"]:
        raise ValueError(f"{path}: changed since the manifest: sha256 {found}; expected {entry['sha256']}")
