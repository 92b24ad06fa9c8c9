"""The corpus as text files: UTF-8, one sentence a line, `train-00000-of-00001.txt` and so on.

A line of a corpus of pairs is a source, a tab and its target; no other corpus has tabs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from diffusionbert.files import check_sums

SPLITS = ("train", "valid", "test")
SENTENCES_PER_FILE = 1_000_000


class TextWriter:
    """Writes one split to numbered files; `close`, which knows how many there are, names them."""

    def __init__(self, folder: Path, split: str, sentences_per_file: int = SENTENCES_PER_FILE) -> None:
        self.num_sentences = 0
        self._folder, self._split, self._per_file = folder, split, sentences_per_file
        self._paths: list[Path] = []
        self._file: TextIO | None = None
        self._digest = hashlib.sha256()

    def write(self, sentence: str) -> None:
        if self._file is None or self.num_sentences % self._per_file == 0:
            self._next_file()
        assert self._file is not None
        line = sentence + "\n"
        self._file.write(line)
        self._digest.update(line.encode("utf-8"))
        self.num_sentences += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        for number, path in enumerate(self._paths):
            path.rename(self._folder / f"{self._split}-{number:05d}-of-{len(self._paths):05d}.txt")

    @property
    def sha256(self) -> str:
        """Of the split's files, one after the other."""
        return self._digest.hexdigest()

    def _next_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._paths.append(self._folder / f"{self._split}-{len(self._paths):05d}.txt")
        self._file = self._paths[-1].open("w", encoding="utf-8", newline="\n")


def text_files(folder: Path, split: str) -> list[Path]:
    """The split's files in order. Raises ValueError when one is missing."""
    paths = sorted(folder.glob(f"{split}-*-of-*.txt"))
    if not paths:
        raise ValueError(f"{folder}: no file {split}-00000-of-*.txt; run the corpus stage first")
    expected = [f"{split}-{number:05d}-of-{len(paths):05d}.txt" for number in range(len(paths))]
    if [path.name for path in paths] != expected:
        raise ValueError(
            f"{folder}: split '{split}' has {len(paths)} files, {paths[0].name} first; expected {expected[0]}"
        )
    return paths


def check_text(folder: Path, splits: Sequence[str] = SPLITS) -> None:
    """Raises ValueError naming the splits' file that is missing or no longer what the corpus stage wrote."""
    check_sums(folder, [path.name for split in splits for path in text_files(folder, split)])


def read_sentences(folder: Path, split: str) -> Iterator[str]:
    """The split's sentences, in order, one at a time."""
    for path in text_files(folder, split):
        with path.open(encoding="utf-8", newline="\n") as file:
            try:
                for line in file:
                    yield line.rstrip("\n")
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}: not UTF-8 (byte 0x{error.object[error.start]:02x})") from None


def read_pairs(folder: Path, split: str) -> Iterator[tuple[str, str]]:
    """The split's sources and targets, in order. Raises ValueError for a line that is no pair."""
    for number, line in enumerate(read_sentences(folder, split), start=1):
        yield pair_of(line, f"{folder}: split '{split}', line {number}")


def pair_of(line: str, where: str) -> tuple[str, str]:
    """Source and target of a line; the source may be empty."""
    source, tab, target = line.partition("\t")
    if not tab or not target or "\t" in target:
        raise ValueError(f"{where}: no pair; expected a source, a tab and a target")
    return source, target
