"""The One Billion Word benchmark (Chelba et al. 2013): from the hub as parquet, or from the original archive.

Both give the same sentences: one a line, shuffled by their makers, tokenised in the Penn Treebank's manner
with spaces around punctuation. The published test split stays the test split.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from diffusionbert import config
from diffusionbert.corpus import parquet
from diffusionbert.corpus.documents import Document
from diffusionbert.corpus.download import check_sum, fetch, user_cache

Published = Literal["train", "test"]
PUBLISHED_COUNTS: dict[Published, int] = {"train": 30_301_028, "test": 306_688}
# Folders of 1-billion-word-language-modeling-benchmark-r13output.tar.gz; all 50 heldout files are test.
_FOLDERS: dict[str, Published] = {
    "training-monolingual.tokenized.shuffled": "train",
    "heldout-monolingual.tokenized.shuffled": "test",
}


def documents(source: config.Lm1bSource) -> Iterator[Document]:
    """Every sentence as a document of its own.

    Raises ValueError when a split has not the published number of sentences (unless `allow_count_mismatch`) or the
    archive not its sum, and OSError when hub or server are out of reach.
    """
    counts: dict[Published, int] = {"train": 0, "test": 0}
    for split, text in _from_archive(_archive(source)) if source.archive else _from_hub(source):
        identity = f"{split}/{counts[split]}"
        counts[split] += 1
        text = detokenize(text) if source.detokenize else text
        yield Document(identity, text, is_sentence=True, published=split)
    for split, expected in PUBLISHED_COUNTS.items():
        _check_count(source, split, counts[split], expected)


def _check_count(source: config.Lm1bSource, split: Published, found: int, expected: int) -> None:
    if found != expected and not source.allow_count_mismatch:
        where = source.archive or source.repository
        raise ValueError(
            f"{where}: split '{split}' has {found:,} sentences; LM1B has {expected:,} "
            "(corpus.lm1b.allow_count_mismatch: true takes it as it is)"
        )


def _from_hub(source: config.Lm1bSource) -> Iterator[tuple[Published, str]]:
    key = "corpus.lm1b.repository"
    for split, expected in PUBLISHED_COUNTS.items():
        paths = parquet.files(source.repository, source.revision, split, key)
        _check_count(source, split, sum(map(parquet.num_rows, paths)), expected)  # before hours of work, not after
        for path in paths:
            for text in parquet.texts(path, "text"):
                yield split, text


def _archive(source: config.Lm1bSource) -> Path:
    """The archive's file: fetched where a URL names it, checked where its sum is given."""
    assert source.archive is not None, "the caller asks"
    if source.archive_is_remote:
        assert source.archive_sha256 is not None, "the schema asks for it"
        return fetch(source.archive, source.archive_sha256, user_cache(), "corpus.lm1b.archive")
    path = Path(source.archive)
    if not path.is_file():
        raise ValueError(f"{path}: no such file (corpus.lm1b.archive)")
    if source.archive_sha256 is not None:
        check_sum(path, source.archive_sha256, "corpus.lm1b.archive_sha256")
    return path


def _from_archive(path: Path) -> Iterator[tuple[Published, str]]:
    try:
        with (
            gzip.open(path) as whole,
            tarfile.open(fileobj=whole, mode="r|") as archive,
        ):  # nothing goes to disk
            for member in archive:
                split = _FOLDERS.get(Path(member.name).parent.name)
                file = archive.extractfile(member) if split is not None and member.isfile() else None
                if split is None or file is None or not Path(member.name).name.startswith("news.en"):
                    continue
                for number, line in enumerate(file, start=1):
                    try:
                        yield split, line.decode("utf-8").rstrip("\n")
                    except UnicodeDecodeError:
                        raise ValueError(f"{path}: {member.name}: line {number} is not UTF-8") from None
            while whole.read(1 << 20):  # tarfile stops at its own end mark; gzip's checksum comes after it
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path}: not a whole .tar.gz archive ({error})") from None


def detokenize(text: str) -> str:
    """Takes back the spaces around punctuation, by the rules of SEDD's LM1B detokeniser."""
    text = text.replace("http : / / ", "http://").replace("https : / / ", "https://")
    text = re.sub(r" '(\w+)", r"'\1", text)
    text = re.sub(r" (\w+) \. ", r" \1. ", text)
    text = re.sub(r" (\w+) \.$", r" \1.", text)
    text = re.sub(r" ([?!])(?= |$)", r"\1", text)
    text = re.sub(r" ([,:;]) ", r"\1 ", text)
    text = text.replace(" / ", "/")
    text = re.sub(r"\" ([^\"]+) \"", r'"\1"', text)
    text = re.sub(r"' ([^']+) '", r"'\1'", text)
    text = re.sub(r"\( ([^()]+) \)", r"(\1)", text)
    text = re.sub(r"\[ ([^\[\]]+) \]", r"[\1]", text)
    return text.replace("$ ", "$").replace("£ ", "£")
