"""Text files -> token shards with a manifest, one shard in memory at a time for every worker."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tokenizers

from diffusionbert import words
from diffusionbert.corpus import encoding, pair_encoding
from diffusionbert.corpus.casing import lower_cases
from diffusionbert.corpus.encoding import Encoded, encode_blocks, encode_rows, plain_tokenizer, tokenizer_text
from diffusionbert.corpus.finished import Finished
from diffusionbert.corpus.pair_encoding import PairRows, encode_pairs
from diffusionbert.corpus.shard_workers import each_by_workers
from diffusionbert.corpus.shards import FORMAT, MANIFEST, PAIRS_SCHEMA, SCHEMA, SUM, TOKENIZER, sum_of
from diffusionbert.corpus.special import Special, tokenizer_hash
from diffusionbert.corpus.text import SPLITS, read_sentences
from diffusionbert.corpus.tokenizers import save_tokenizer
from diffusionbert.files import NoRoomError, replacing, write_json
from diffusionbert.progress import track


@dataclass(frozen=True)
class Counts:
    """What is counted of a shard, and summed over a split.

    Of packed rows `sentences` counts the blocks and `texts` the sentences in them; `partial` are the shards' last
    blocks, shorter than the rest. Of pairs `words` and `truncated` are the targets', `given` counts the tokens of the
    sources with their separators, and `ends` the end tokens that targets are filled up with.
    """

    sentences: int = 0
    tokens: int = 0
    words: int = 0
    truncated: int = 0
    empty: int = 0
    texts: int = 0
    separators: int = 0
    partial: int = 0
    given: int = 0
    ends: int = 0
    truncated_sources: int = 0
    skipped_long: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})

    def told(self, rows: Rows) -> dict[str, int]:
        """As results have them: what only packing, or only pairs, tell apart is left out elsewhere."""
        left_out = (() if rows.packed else _PACKED_ONLY) + (() if rows.pairs else _PAIRS_ONLY)
        return {name: value for name, value in asdict(self).items() if name not in left_out}


_PACKED_ONLY = ("texts", "separators", "partial")
_PAIRS_ONLY = ("given", "ends", "truncated_sources", "skipped_long")


@dataclass(frozen=True)
class Rows:
    """How rows are made of sentences: one each, cut at `max_length`, or packed into blocks of it; or of pairs."""

    max_length: int
    packed: bool = False
    pairs: PairRows | None = None

    @property
    def separator_counts(self) -> bool:
        """Whether [SEP] is a token of the text: between packed sentences, or at a target's end."""
        return self.packed or (self.pairs is not None and self.pairs.padded)


@dataclass(frozen=True)
class _Chunk:
    """The sentences of one shard, and their sum."""

    name: str
    split: str
    first: int  # how many lines of its split come before it
    sum: str
    texts: list[str]


def write_shards(
    text: Path,
    folder: Path,
    tokenizer: Any,
    special: Special,
    rows: Rows,
    *,
    shard_size: int,
    workers: int = 1,
    checkpoints: Path | None = None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Counts]:
    """Tokenizes every split of the corpus into `folder`, which appears whole or not at all.

    The bytes do not depend on the number of workers. Finished shards stand beside the path `checkpoints` until all
    are made, in a folder named after their recipe; a run that was killed leaves them there for the next. `about` is
    written into the manifest. In packed rows [SEP] is a token of the text, as it stands between sentences, and behind
    targets that are filled up it is one too.

    Raises ValueError when a split has no token.
    """
    if rows.separator_counts:
        barred = tuple(token for token in special.not_candidates if token != special.sep_id)
        special = replace(special, not_candidates=barred)
    with replacing(folder) as aside:
        aside.mkdir()
        save_tokenizer(tokenizer, aside / TOKENIZER)
        recipe = {
            "format": FORMAT,
            "max_length": rows.max_length,
            "packed": rows.packed,
            "lower_case": lower_cases(tokenizer),
            "special": special.as_dict(),
            "tokenizer": {"sha256": tokenizer_hash(aside / TOKENIZER)},
        }
        if rows.pairs is not None:
            recipe["pairs"] = asdict(rows.pairs)
        finished = Finished(_place(checkpoints, recipe) if checkpoints is not None else aside / "finished")
        finished.folder.mkdir(parents=True, exist_ok=True)
        told = (tokenizer_text(tokenizer), rows, special.sep_id, finished, str(text))
        entries = _make_shards(_chunks(text, shard_size), finished, told, workers)
        splits: dict[str, Any] = {}
        totals: dict[str, Counts] = {}
        for split in SPLITS:
            listed, totals[split] = _named(split, entries, finished, aside)
            if totals[split].tokens == 0:
                raise ValueError(f"{text}: split '{split}' gives no token; expected some")
            splits[split] = {**totals[split].told(rows), "shards": listed}
        manifest = {**recipe, "corpus": dict(about or {}), "splits": splits}
        write_json(aside / MANIFEST, {**manifest, SUM: sum_of(manifest)})
        if checkpoints is None:
            finished.remove()
    if checkpoints is not None:
        remove_finished(checkpoints)
    return totals


def write_shard(path: Path, encoded: Encoded) -> Counts:
    """Writes one shard. Raises NoRoomError on a full disk, an OSError naming the file when it fails otherwise."""
    lists = pa.ListArray.from_arrays(pa.array(encoded.offsets), pa.array(encoded.tokens))
    columns, pairs = [lists, pa.array(encoded.words)], encoded.pairs
    if pairs is not None:
        columns += [pa.array(pairs.given), pa.array(pairs.sources, pa.string()), pa.array(pairs.targets, pa.string())]
    batch = pa.record_batch(columns, schema=SCHEMA if pairs is None else PAIRS_SCHEMA)
    try:
        with replacing(path) as aside, aside.open("wb") as file:
            with pa.ipc.new_stream(file, batch.schema) as writer:
                writer.write_batch(batch)
            file.flush()
            os.fsync(file.fileno())
    except NoRoomError:
        raise
    except OSError as error:
        raise OSError(f"{path}: could not be written ({error.strerror or error}); nothing was replaced") from None
    return Counts(
        len(encoded.words),
        len(encoded.tokens),
        int(encoded.words.sum(dtype=np.int64)),
        encoded.truncated,
        encoded.empty,
        encoded.texts,
        encoded.separators,
        encoded.partial,
        *(() if pairs is None else (int(pairs.given.sum(dtype=np.int64)), pairs.ends)),
        *(() if pairs is None else (pairs.truncated_sources, pairs.skipped_long)),
    )


def _make_shards(
    chunks: Iterator[_Chunk], finished: Finished, told: tuple[Any, ...], workers: int
) -> dict[str, dict[str, Any]]:
    """The entry of every shard by its name; those that stand finished are not made again."""
    entries: dict[str, dict[str, Any]] = {}

    def missing() -> Iterator[_Chunk]:
        for chunk in chunks:
            entry = finished.take(chunk.name, chunk.sum)
            if entry is None:
                yield chunk
            else:
                entries[chunk.name] = entry

    for name, entry in track(each_by_workers(missing(), shard_maker, told, workers), label="tokenize: shards"):
        entries[name] = entry
    return entries


def shard_maker(
    tokenizer: str, rows: Rows, separator: int, finished: Finished, text: str
) -> Callable[[_Chunk], tuple[str, dict[str, Any]]]:
    """What a worker does with a chunk: each shard is a function of its own sentences alone."""
    backend = plain_tokenizer(tokenizer)

    def make(chunk: _Chunk) -> tuple[str, dict[str, Any]]:
        if rows.pairs is not None:
            where = f"{text}, split '{chunk.split}' (shuffled)"
            encoded = encode_pairs(backend, chunk.texts, rows.max_length, rows.pairs, separator, where, chunk.first)
        elif rows.packed:
            encoded = encode_blocks(backend, chunk.texts, rows.max_length, separator)
        else:
            encoded = encode_rows(backend, chunk.texts, rows.max_length)
        counts = write_shard(finished.path(chunk.name), encoded)
        return chunk.name, finished.keep(chunk.name, chunk.sum, counts.told(rows))

    return make


def _chunks(text: Path, size: int) -> Iterator[_Chunk]:
    for split in SPLITS:
        sentences = read_sentences(text, split)
        number = 0
        while texts := list(islice(sentences, size)):
            total = hashlib.sha256("\n".join(texts).encode("utf-8")).hexdigest()
            yield _Chunk(f"{split}-{number:05d}", split, number * size, total, texts)
            number += 1


def _named(
    split: str, entries: Mapping[str, Mapping[str, Any]], finished: Finished, folder: Path
) -> tuple[list[dict[str, Any]], Counts]:
    """Puts the split's shards into the folder under names that tell how many there are; returns what is listed."""
    names = sorted(name for name in entries if name.startswith(f"{split}-"))
    listed, total = [], Counts()
    for name in names:
        file = f"{name}-of-{len(names):05d}.arrow"
        finished.put(name, folder / file)
        listed.append({"file": file, **entries[name]})
        total += Counts(**{key: value for key, value in entries[name].items() if key not in ("bytes", "sha256")})
    return listed, total


def _place(checkpoints: Path, recipe: Mapping[str, Any]) -> Path:
    """The folder of the recipe, which the code that follows it belongs to."""
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    digest.update(tokenizers.__version__.encode())
    for module in (encoding, pair_encoding, words):
        digest.update(Path(module.__file__ or "").read_bytes())
    return checkpoints.with_name(f"{checkpoints.name}-{digest.hexdigest()[:16]}")


def remove_finished(checkpoints: Path) -> None:
    """Removes the finished shards of every recipe beside this path."""
    for folder in checkpoints.parent.glob(f"{checkpoints.name}-" + "[0-9a-f]" * 16):
        Finished(folder).remove()
