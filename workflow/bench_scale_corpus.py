"""Corpora in the layout of LM1B's archive and of any size, and a project folder whose params.yaml reads one.

Their sentences are drawn from those of a corpus that is there, with a seed and with replacement.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from diffusionbert.config import parse, read_yaml
from diffusionbert.corpus.folders import sha256_of_folder
from diffusionbert.corpus.lm1b import PUBLISHED_COUNTS
from diffusionbert.corpus.text import SPLITS, read_sentences

ROOT = "1-billion-word-language-modeling-benchmark-r13output"
TRAIN, TEST = "training-monolingual.tokenized.shuffled", "heldout-monolingual.tokenized.shuffled"
SENTENCES_PER_MEMBER = 50_000
ARCHIVE = "corpora/lm1b.tar.gz"


def base_sentences(text: Path) -> list[str]:
    """All sentences of a corpus; ValueError naming what is missing."""
    return [sentence for split in SPLITS for sentence in read_sentences(text, split)]


def write_archive(path: Path, base: list[str], size: int) -> None:
    """An archive of `size` training sentences, and the published share of test ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([size, 0])
    num_test = max(1, round(size * PUBLISHED_COUNTS["test"] / PUBLISHED_COUNTS["train"]))
    with gzip.open(path, "wb", compresslevel=1) as whole, tarfile.open(fileobj=whole, mode="w|") as archive:
        train = _members(TRAIN, "news.en", base, size, rng)
        test = _members(TEST, "news.en.heldout", base, num_test, rng)
        for name, data in chain(train, test):
            described = tarfile.TarInfo(f"{ROOT}/{name}")
            described.size = len(data)
            archive.addfile(described, io.BytesIO(data))


def write_project(folder: Path, root: Path, base: list[str], size: int, tokenizer: Path, workers: int) -> None:
    """A folder with an archive, and a params.yaml that reads it and is otherwise the default's."""
    write_archive(folder / ARCHIVE, base, size)
    data = read_yaml(root / "profiles" / "default.yaml")
    data["profile"] = "scale"
    data["corpus"] = {
        "source": "lm1b",
        "lm1b": {"repository": "none/none", "archive": ARCHIVE, "allow_count_mismatch": True},
        "cleaning": None,
        "valid_share": 0.01,
        "test_share": None,
    }
    place = {"source": "path", "name": str(tokenizer.resolve()), "sha256": sha256_of_folder(tokenizer)}
    data["tokenizers"] = dict.fromkeys(data["tokenizers"], place)
    data["tokenize"]["workers"] = workers
    parse(data, "params.yaml of the bench")
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(data, file)


def _members(
    folder: str, stem: str, base: list[str], size: int, rng: np.random.Generator
) -> Iterator[tuple[str, bytes]]:
    """The archive's files, one in memory at a time."""
    for number, start in enumerate(range(0, size, SENTENCES_PER_MEMBER)):
        drawn = rng.integers(0, len(base), min(SENTENCES_PER_MEMBER, size - start))
        text = "".join(base[index] + "\n" for index in drawn.tolist())
        yield f"{folder}/{stem}-{number:05d}-of-{-(-size // SENTENCES_PER_MEMBER):05d}", text.encode()
