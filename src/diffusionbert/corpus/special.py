"""What token shards must know of their tokenizer, without loading it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Special:
    """The ids that mean something else than a piece of text.

    `not_candidates` can never be a word of the text: [PAD], [CLS], [SEP], [MASK], unused ids and holes. Of a causal
    LM's tokenizer [CLS] is the token that starts a text and [SEP] the one that ends it; it has no [MASK].
    """

    vocab_size: int
    pad_id: int
    mask_id: int | None
    cls_id: int
    sep_id: int
    unk_id: int | None
    not_candidates: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "not_candidates": list(self.not_candidates)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Special:
        return cls(**{**values, "not_candidates": tuple(values["not_candidates"])})


def up_to_end(tokens: Sequence[int], end_id: int | None) -> list[int]:
    """A generated target, cut at its first end token where there is one to look for."""
    found = list(tokens)
    return found[: found.index(end_id)] if end_id is not None and end_id in found else found


def tokenizer_hash(folder: Path) -> str:
    """sha256 over the names and contents of a saved tokenizer's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
