"""Text files -> token shards with a manifest, one shard in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from diffusionbert.corpus.shards import FORMAT, MANIFEST, SCHEMA, TOKENIZER
from diffusionbert.corpus.special import Special, tokenizer_hash
from diffusionbert.corpus.text import SPLITS, read_sentences
from diffusionbert.corpus.tokenizers import save_tokenizer
from diffusionbert.files import replacing, sha256, write_json
from diffusionbert.progress import track
from diffusionbert.words import count_words

_TEXTS_AT_ONCE = 1000  # encodings are a hundred times the size of their ids


@dataclass(frozen=True)
class Encoded:
    """Sentences as token ids: sentence i is `tokens[offsets[i] : offsets[i + 1]]`."""

    tokens: NDArray[np.uint16]
    offsets: NDArray[np.int32]
    words: NDArray[np.uint16]
    truncated: int
    empty: int  # texts of no token at all; they are left out


@dataclass(frozen=True)
class Counts:
    """What is counted of a shard, and summed over a split."""

    sentences: int = 0
    tokens: int = 0
    words: int = 0
    truncated: int = 0
    empty: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})


def encode(tokenizer: Any, texts: Sequence[str], max_length: int) -> Encoded:
    """Token ids without special tokens, cut at `max_length`, and the words of each text as far as kept.

    A text that spells out a special token ("[MASK]") is read as plain text.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True
    rows: list[NDArray[np.uint16]] = []
    kept: list[str] = []
    truncated = empty = 0
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        part = list(texts[start : start + _TEXTS_AT_ONCE])
        for text, encoding in zip(part, backend.encode_batch_fast(part, add_special_tokens=False), strict=True):
            ids = encoding.ids
            if len(ids) > max_length:
                truncated += 1
                # the fast batch keeps no offsets; they are wanted for these few only
                text = text[: backend.encode(text, add_special_tokens=False).offsets[max_length - 1][1]]
            if ids:
                rows.append(np.asarray(ids[:max_length], dtype=np.uint16))
                kept.append(text)
            else:
                empty += 1
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    tokens = np.concatenate(rows) if rows else np.zeros(0, dtype=np.uint16)
    return Encoded(tokens, offsets, np.asarray(count_words(kept), dtype=np.uint16), truncated, empty)


def write_shard(path: Path, encoded: Encoded) -> Counts:
    """Writes one shard. Raises OSError naming the file when it cannot be written, a full disk for one."""
    lists = pa.ListArray.from_arrays(pa.array(encoded.offsets), pa.array(encoded.tokens))
    batch = pa.record_batch([lists, pa.array(encoded.words)], schema=SCHEMA)
    try:
        with path.open("wb") as file:
            with pa.ipc.new_stream(file, SCHEMA) as writer:
                writer.write_batch(batch)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(f"{path.name}: could not be written ({error.strerror or error}); nothing was replaced") from None
    words = int(encoded.words.sum(dtype=np.int64))
    return Counts(len(encoded.words), len(encoded.tokens), words, encoded.truncated, encoded.empty)


def write_shards(
    text: Path, folder: Path, tokenizer: Any, special: Special, *, max_length: int, shard_size: int
) -> dict[str, Counts]:
    """Tokenizes every split of the corpus into `folder`, which appears whole or not at all.

    Raises ValueError when a split has no token.
    """
    totals: dict[str, Counts] = {}
    splits: dict[str, Any] = {}
    with replacing(folder) as aside:
        aside.mkdir()
        save_tokenizer(tokenizer, aside / TOKENIZER)
        for split in SPLITS:
            entries, totals[split] = _write_split(text, split, aside, tokenizer, max_length, shard_size)
            if totals[split].tokens == 0:
                raise ValueError(f"{text}: split '{split}' gives no token; expected some")
            splits[split] = {**asdict(totals[split]), "shards": entries}
        manifest = {
            "format": FORMAT,
            "max_length": max_length,
            "special": special.as_dict(),
            "splits": splits,
            "tokenizer": {"sha256": tokenizer_hash(aside / TOKENIZER)},
        }
        write_json(aside / MANIFEST, manifest)
    return totals


def _write_split(
    text: Path, split: str, folder: Path, tokenizer: Any, max_length: int, shard_size: int
) -> tuple[list[dict[str, Any]], Counts]:
    """Each shard is a function of its own sentences alone, so shards can be made apart and in any order."""
    done: list[tuple[Path, Counts]] = []
    chunks = _chunks(read_sentences(text, split), shard_size)
    for number, texts in enumerate(track(chunks, label=f"tokenize: shards of {split}")):
        path = folder / f"{split}-{number:05d}.arrow"
        done.append((path, write_shard(path, encode(tokenizer, texts, max_length))))
    entries = []
    for number, (path, counts) in enumerate(done):
        name = f"{split}-{number:05d}-of-{len(done):05d}.arrow"
        path = path.rename(folder / name)
        entries.append({"file": name, "bytes": path.stat().st_size, "sha256": sha256(path), **asdict(counts)})
    return entries, sum((counts for _, counts in done), Counts())


def _chunks(sentences: Iterator[str], size: int) -> Iterator[list[str]]:
    while chunk := list(islice(sentences, size)):
        yield chunk
