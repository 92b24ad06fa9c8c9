"""Documents -> the splits' text files."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from diffusionbert import config
from diffusionbert.corpus.build import assign_split, build
from diffusionbert.corpus.documents import Document
from diffusionbert.corpus.text import SPLITS, TextWriter, read_sentences, text_files

Section = Callable[..., config.Corpus]


def _all(folder: Path) -> dict[str, list[str]]:
    return {split: list(read_sentences(folder, split)) for split in SPLITS}


def _kept(splits: dict[str, list[str]]) -> list[str]:
    return [sentence for sentences in splits.values() for sentence in sentences]


def test_splits_by_document_and_counts(tmp_path: Path, numbered: list[Document], corpus_section: Section) -> None:
    section = corpus_section()
    metrics = build(section, numbered, tmp_path / "text")
    splits = _all(tmp_path / "text")
    assert {split: len(sentences) for split, sentences in splits.items()} == metrics["sentences"]
    assert sum(metrics["documents"].values()) == 20
    for document in numbered:
        expected = assign_split(document, section)
        for sentence in document.text.split(". "):
            assert any(sentence.rstrip(".") in kept for kept in splits[expected])
    assert metrics["words"]["test"] == 9 * metrics["sentences"]["test"]  # eight words and the full stop


def test_order_of_documents_does_not_matter(tmp_path: Path, numbered: list[Document], corpus_section: Section) -> None:
    first = build(corpus_section(), numbered, tmp_path / "a")
    second = build(corpus_section(), reversed(numbered), tmp_path / "b")
    assert first == second
    assert _all(tmp_path / "a") == _all(tmp_path / "b")


def test_the_seed_shuffles_and_splits(tmp_path: Path, numbered: list[Document], corpus_section: Section) -> None:
    build(corpus_section(seed=0), numbered, tmp_path / "a")
    build(corpus_section(seed=1), numbered, tmp_path / "b")
    a, b = _all(tmp_path / "a"), _all(tmp_path / "b")
    assert a["test"] != b["test"]
    assert sorted(_kept(a)) == sorted(_kept(b))
    assert a["train"] != sorted(a["train"])


def test_duplicates_stay_once_and_boilerplate_not_at_all(
    tmp_path: Path, numbered: list[Document], corpus_section: Section
) -> None:
    often = "Read all of our news every day."
    twice = "This is only ever said two times."
    texts = [d.text + (f" {often}" if i < 5 else "") + (f" {twice}" if i < 2 else "") for i, d in enumerate(numbered)]
    documents = [Document(d.identity, text) for d, text in zip(numbered, texts, strict=True)]
    metrics = build(corpus_section(), documents, tmp_path / "text")
    kept = _kept(_all(tmp_path / "text"))
    assert kept.count(often) == 0
    assert kept.count(twice) == 1
    assert metrics["dropped"]["boilerplate"] == 5
    assert metrics["dropped"]["duplicate"] == 1


def test_without_cleaning_every_sentence_stays(tmp_path: Path, corpus_section: Section) -> None:
    documents = [Document(f"{i}", "again", is_sentence=True) for i in range(50)]
    metrics = build(corpus_section(cleaning=None), documents, tmp_path / "text")
    assert sum(metrics["sentences"].values()) == 50


def test_a_published_test_split_stays(tmp_path: Path, corpus_section: Section) -> None:
    documents = [Document(f"{i}", f"line {i}", True, "test" if i < 7 else "train") for i in range(100)]
    metrics = build(corpus_section(cleaning=None), documents, tmp_path / "text")
    assert metrics["sentences"]["test"] == 7
    assert set(_all(tmp_path / "text")["test"]) == {f"line {i}" for i in range(7)}


def test_max_sentences_takes_a_sample_of_all_splits(
    tmp_path: Path, numbered: list[Document], corpus_section: Section
) -> None:
    metrics = build(corpus_section(max_sentences=40), numbered, tmp_path / "text")
    assert sum(metrics["sentences"].values()) == 40
    assert metrics["dropped"]["over_max_sentences"] == 20


def test_nothing_left_is_an_error(tmp_path: Path, corpus_section: Section) -> None:
    with pytest.raises(ValueError, match=r"corpus\.files: no sentence left after cleaning \(dropped: too_short 2\)"):
        build(corpus_section(), [Document("a", "No. Yes.")], tmp_path / "text")
    assert list(tmp_path.iterdir()) == []


def test_a_split_without_documents_is_an_error(
    tmp_path: Path, numbered: list[Document], corpus_section: Section
) -> None:
    with pytest.raises(
        ValueError,
        match=r"split '(train|valid|test)' has no documents, of 1 read; expected at least 1",
    ):
        build(corpus_section(), numbered[:1], tmp_path / "text")


def test_a_full_disk_leaves_the_old_text(tmp_path: Path, numbered: list[Document], corpus_section: Section) -> None:
    build(corpus_section(), numbered, tmp_path / "text")
    before = _all(tmp_path / "text")
    more = [Document(f"{i}", f"A much longer sentence number {i} has come to us. " * 300) for i in range(40)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(OSError, match=r"text: could not be written .File too large.; what it held is kept"):
            build(corpus_section(cleaning=None), more, tmp_path / "text")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert _all(tmp_path / "text") == before
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_text_goes_to_several_files_when_it_is_long(tmp_path: Path) -> None:
    writer = TextWriter(tmp_path, "train", sentences_per_file=3)
    for i in range(7):
        writer.write(f"line {i}")
    writer.close()
    assert [path.name for path in text_files(tmp_path, "train")] == [f"train-0000{i}-of-00003.txt" for i in range(3)]
    assert list(read_sentences(tmp_path, "train")) == [f"line {i}" for i in range(7)]
    (tmp_path / "train-00001-of-00003.txt").unlink()
    with pytest.raises(ValueError, match="split 'train' has 2 files"):
        text_files(tmp_path, "train")
    with pytest.raises(ValueError, match="no file valid-00000"):
        text_files(tmp_path, "valid")
