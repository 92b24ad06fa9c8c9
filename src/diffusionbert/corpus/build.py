"""Documents -> cleaned, deduplicated, shuffled sentences in three splits, with memory flat in their number.

The sentences go to buckets on disk by a hash; each bucket is then sorted by that hash and written out. So the
order is a shuffle that depends on the seed and the texts alone, and equal sentences lie side by side where
deduplication finds them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from diffusionbert import config
from diffusionbert.corpus import grammar, lm1b, news, pool, textfiles
from diffusionbert.corpus.cleaning import hyphens_are_spaces, judge, mend
from diffusionbert.corpus.documents import Document
from diffusionbert.corpus.sentences import normalize_space, split_sentences
from diffusionbert.corpus.text import SPLITS, TextWriter
from diffusionbert.files import replacing, write_sums
from diffusionbert.progress import track
from diffusionbert.words import count_words

NUM_BUCKETS = 128  # at 30 M sentences a bucket is 33 MB of text, five times that as strings; no order depends on it


class _Sentence(NamedTuple):
    """One line of a bucket; the order of the fields is the order of sorting."""

    key: str  # 16 hexadecimal digits: the place in the shuffle
    text: str
    document: str  # 16 hexadecimal digits: which of several copies is kept
    split: str


def documents(corpus: config.Corpus, packages: dict[str, config.Package]) -> Iterator[Document]:
    """The documents of the source that `corpus.source` names."""
    match corpus.source:
        case "package" if corpus.package is not None:
            return news.documents(corpus.package, packages)
        case "pool" if corpus.pool is not None:
            return pool.documents(corpus.pool, packages)
        case "files" if corpus.files is not None:
            return textfiles.documents(corpus.files)
        case "lm1b" if corpus.lm1b is not None:
            return lm1b.documents(corpus.lm1b)
        case "grammar" if corpus.grammar is not None:
            return grammar.documents(corpus.grammar)
    raise AssertionError(f"the schema lets no other source of sentences through: {corpus.source}")


def build(corpus: config.Corpus, source: Iterable[Document], folder: Path) -> dict[str, Any]:
    """Writes the splits' text files, and their sums, to `folder`, whole or not at all; returns what is told about them.

    Raises ValueError when no sentence, or no document of a split, is left.
    """
    with replacing(folder) as aside:
        aside.mkdir()
        spool = aside / "spool"
        spool.mkdir()
        num_documents, dropped = _spool(corpus, source, spool)
        _check_splits(corpus, num_documents, dropped)
        writers = {split: TextWriter(aside, split) for split in SPLITS}
        words = _write(corpus, spool, writers, dropped)
        shutil.rmtree(spool)
        for split, writer in writers.items():
            writer.close()
            if writer.num_sentences == 0:
                raise ValueError(f"corpus: split '{split}' has no sentence left ({_told(dropped)}); expected some")
        write_sums(aside)
    return {
        "source": corpus.source,
        "documents": num_documents,
        "sentences": {split: writer.num_sentences for split, writer in writers.items()},
        "words": words,
        "dropped": dict(dropped),
        "sha256": {split: writer.sha256 for split, writer in writers.items()},
    }


def assign_split(document: Document, corpus: config.Corpus) -> str:
    """train, valid or test, from a hash of the document's identity and the seed alone.

    With u uniform in [0, 1): test if u < test_share, else valid if u < test_share + valid_share. Where the
    source has a published test split, that is the test split, and the rest is valid if u < valid_share.
    """
    if document.published == "test":
        return "test"
    u = int(hash64(document.identity, corpus.seed, b"split"), 16) / 2**64
    test_share = 0.0 if document.published == "train" else corpus.test_share or 0.0
    if u < test_share:
        return "test"
    return "valid" if u < test_share + (corpus.valid_share or 0.0) else "train"


def _spool(corpus: config.Corpus, source: Iterable[Document], spool: Path) -> tuple[dict[str, int], Counter[str]]:
    """Cleans every document's sentences into the buckets; counts documents that kept any, and drops."""
    num_documents = dict.fromkeys(SPLITS, 0)
    dropped: Counter[str] = Counter()
    with ExitStack() as stack:
        names = [spool / f"{bucket:03d}" for bucket in range(NUM_BUCKETS)]
        files = [stack.enter_context(name.open("w", encoding="utf-8", newline="\n")) for name in names]
        for document in track(source, label="corpus: documents"):
            split = assign_split(document, corpus)
            identity = hash64(document.identity, corpus.seed, b"document")
            kept = _kept(document, corpus.cleaning, dropped)
            for index, text in enumerate(kept):
                # With cleaning on, copies must meet; with it off, they must not lie side by side.
                place = text if corpus.cleaning is not None else f"{document.identity}\n{index}"
                key = hash64(place, corpus.seed, b"shuffle")
                files[int(key, 16) * NUM_BUCKETS >> 64].write("\t".join(_Sentence(key, text, identity, split)) + "\n")
            num_documents[split] += bool(kept)
    return num_documents, dropped


def _kept(document: Document, rules: config.Cleaning | None, dropped: Counter[str]) -> list[str]:
    text = document.text if rules is None else mend(document.text)
    sentences = [normalize_space(text)] if document.is_sentence else split_sentences(text)
    if rules is None:
        kept = [sentence for sentence in sentences if sentence]
        dropped["empty"] += len(sentences) - len(kept)
        return kept
    reasons = judge(sentences, rules, distrust_hyphens=not document.is_sentence and hyphens_are_spaces(text))
    dropped.update(reason for reason in reasons if reason is not None)
    return [sentence for sentence, reason in zip(sentences, reasons, strict=True) if reason is None]


def _write(corpus: config.Corpus, spool: Path, writers: dict[str, TextWriter], dropped: Counter[str]) -> dict[str, int]:
    """Writes the buckets out in the order of the keys, at most `max_sentences`; returns words by split."""
    words = dict.fromkeys(SPLITS, 0)
    left = corpus.max_sentences
    for bucket in track(sorted(spool.iterdir()), label="corpus: shuffling"):
        with bucket.open(encoding="utf-8", newline="\n") as file:
            sentences = sorted(_Sentence(*line.rstrip("\n").split("\t")) for line in file)
        if corpus.cleaning is not None:
            sentences = _deduplicated(sentences, corpus.cleaning.max_repeats, dropped)
        if left is not None:
            dropped["over_max_sentences"] += max(0, len(sentences) - left)
            sentences = sentences[:left]
            left -= len(sentences)
        for sentence, num_words in zip(sentences, count_words([s.text for s in sentences]), strict=True):
            writers[sentence.split].write(sentence.text)
            words[sentence.split] += num_words
    return words


def _deduplicated(sentences: list[_Sentence], max_repeats: int, dropped: Counter[str]) -> list[_Sentence]:
    """One copy of each sentence; none of one seen more than `max_repeats` times, which is boilerplate."""
    kept = []
    for _, copies in groupby(sentences, key=lambda sentence: sentence.text):
        first, *others = copies
        if len(others) >= max_repeats:
            dropped["boilerplate"] += 1 + len(others)
        else:
            dropped["duplicate"] += len(others)
            kept.append(first)
    return kept


def _check_splits(corpus: config.Corpus, num_documents: dict[str, int], dropped: Counter[str]) -> None:
    total = sum(num_documents.values())
    if total == 0:
        raise ValueError(f"corpus.{corpus.source}: no sentence left after cleaning ({_told(dropped)})")
    for split, count in num_documents.items():
        if count == 0:
            raise ValueError(
                f"corpus: split '{split}' has no documents, of {total} read; expected at least 1 "
                f"(valid_share {corpus.valid_share}, test_share {corpus.test_share}, seed {corpus.seed})"
            )


def _told(dropped: Counter[str]) -> str:
    return "dropped: " + (", ".join(f"{reason} {count}" for reason, count in dropped.most_common() if count) or "none")


def hash64(text: str, seed: int, purpose: bytes) -> str:
    """64 bits, uniform and independent between seeds and purposes, as 16 hexadecimal digits."""
    # surrogates cannot be encoded plainly; a source that lets one through is told so by the text writer
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=8, key=str(seed).encode(), person=purpose).hexdigest()
