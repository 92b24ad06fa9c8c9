"""What every source of text gives: documents, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Document:
    """A piece of text that must not be torn over two splits.

    `identity` decides the split, so it must not depend on the order of reading. `published` is set by sources
    that come with a test split of their own: "test" stays test, "train" is divided into train and valid.
    """

    identity: str
    text: str
    is_sentence: bool = False  # the text is one sentence already
    published: Literal["train", "test"] | None = None
