"""Pairs from DiffuSeq's files, from parquet and from two Bibles: what is read, refused, skipped and split."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diffusionbert import config
from diffusionbert.corpus.build import assign_split
from diffusionbert.corpus.documents import Document
from diffusionbert.corpus.pair_build import build_pairs
from diffusionbert.corpus.pairs import PUBLISHED_COUNTS, Pair, Skipped, pairs
from diffusionbert.corpus.text import SPLITS, read_pairs
from diffusionbert.files import sha256

GOOD = [{"src": f"How are you, number {n}?", "trg": f"Are you well, {n}?"} for n in range(40)]
BAD = {
    b'{"src": "only"}\n': ("no_target", "line 2 has no text under 'trg'"),
    b'{"trg": "only"}\n': ("no_source", "line 2 has no text under 'src'"),
    b'{"src": "a", "trg": " "}\n': ("empty_target", "line 2 has an empty 'trg'; expected a target"),
    b'{"src": "a", "trg": 3}\n': ("no_target", "line 2 has no text under 'trg'"),
    b'{"src": "a"\n': ("not_json", "line 2 is not JSON"),
    b'["a", "b"]\n': ("no_source", "line 2 has no text under 'src'"),
    '{"src": "caf\u00e9", "trg": "b"}\n'.encode("latin-1"): ("not_utf8", "line 2 is not UTF-8 (byte 0xe9 at 12)"),
    b'{"src": "\\ud800", "trg": "b"}\n': ("not_utf8", "line 2 has half a character under 'src'"),
    b'{"src": "a", "trg": "\\u200b \\ufeff"}\n': ("empty_target", "line 2 has an empty 'trg'; expected a target"),
    b'{"src": "a", "src": "b", "trg": "c"}\n': ("duplicate_key", "line 2 has 'src' twice; expected each key once"),
    b"[" * 100_000 + b"\n": ("not_json", "line 2 is JSON nested too deeply"),
    b'{"src": ' + b"1" * 5_000 + b', "trg": "b"}\n': ("no_source", "line 2 has no text under 'src'"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("corpora").mkdir()
    return tmp_path


def lines(records: list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def three(content: bytes = lines(GOOD)) -> dict[str, str]:
    for split in SPLITS:
        Path(f"corpora/{split}.jsonl").write_bytes(content if split == "train" else lines(GOOD[:5]))
    return {split: f"corpora/{split}.jsonl" for split in SPLITS}


def section(**values: Any) -> config.Pairs:
    return config.Pairs.model_validate({"task": "files", **values})


def corpus(source: config.Pairs, **values: Any) -> config.Corpus:
    shares = {} if source.is_split else {"valid_share": 0.2, "test_share": 0.2}
    return config.Corpus.model_validate({"source": "pairs", "pairs": source.model_dump(), **shares, **values})


def built(source: config.Pairs, **values: Any) -> dict[str, Any]:
    skipped = Skipped()
    return build_pairs(corpus(source, **values), pairs(source, {}, skipped), skipped, Path("text"))


def test_files_in_three_splits_are_what_they_say() -> None:
    metrics = built(section(paths=three()))
    assert metrics["sentences"] == {"train": 40, "valid": 5, "test": 5}
    assert metrics["targets_in_train"] == {"valid": 5, "test": 5}
    assert metrics["mean_source_words"]["test"] == 7
    assert metrics["mean_target_words"]["test"] == 6
    assert metrics["identical"] == dict.fromkeys(SPLITS, 0)
    found = list(read_pairs(Path("text"), "train"))
    assert sorted(found) == sorted((record["src"], record["trg"]) for record in GOOD)
    assert found != [(record["src"], record["trg"]) for record in GOOD], "they are shuffled"


def test_one_file_is_split_by_its_sources() -> None:
    twice = [record | {"trg": f"{record['trg']} {n}"} for record in GOOD for n in range(3)]
    Path("corpora/all.jsonl").write_bytes(lines(twice))
    metrics = built(section(paths={"all": "corpora/all.jsonl"}))
    assert sum(metrics["sentences"].values()) == 120
    sources = {split: {source for source, _ in read_pairs(Path("text"), split)} for split in SPLITS}
    assert all(sources.values())
    assert not sources["train"] & sources["test"]
    assert not sources["train"] & sources["valid"]
    assert not sources["valid"] & sources["test"]


@pytest.mark.parametrize("line", BAD, ids=[reason for reason, _ in BAD.values()])
def test_a_line_that_is_no_pair_is_named_or_skipped_and_counted(line: bytes) -> None:
    reason, told = BAD[line]
    paths = three(lines(GOOD[:1]) + line + lines(GOOD[1:]))
    with pytest.raises(ValueError, match=r"^corpora/train\.jsonl: line 2 ") as error:
        built(section(paths=paths))
    assert told in str(error.value)
    assert not Path("text").exists()
    metrics = built(section(paths=paths, skip_bad=True))
    assert metrics["skipped"] == {"train": {reason: 1}}
    assert metrics["dropped"] == {reason: 1}
    assert metrics["sentences"]["train"] == 40


def test_a_source_may_be_empty() -> None:
    Path("corpora/all.jsonl").write_bytes(lines([record | {"src": ""} for record in GOOD]))
    built(section(paths={"all": "corpora/all.jsonl"}))
    assert {source for source, _ in read_pairs(Path("text"), "train")} == {""}


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "no pair in it"), (b"\n\n", "no pair in it"), (None, "no such file")],
)
def test_a_file_without_pairs_is_refused(content: bytes | None, told: str) -> None:
    paths = three()
    path = Path(paths["valid"])
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=told) as error:
        built(section(paths=paths))
    assert str(error.value).startswith(f"{path}: ")


def test_a_file_of_which_every_line_is_left_out_says_why() -> None:
    paths = three(b'{"src": "only"}\n[1]\n["x"]\n')
    told = r"^corpora/train\.jsonl: no pair in it \(3 lines left out: no_source 2, no_target 1\); expected one a line"
    with pytest.raises(ValueError, match=told):
        built(section(paths=paths, skip_bad=True))


@pytest.mark.parametrize("task", sorted(PUBLISHED_COUNTS))
def test_another_number_of_pairs_than_published_is_refused_unless_allowed(task: str) -> None:
    paths = three()
    with pytest.raises(ValueError, match=rf"train\.jsonl: 40 pairs; {task} has [\d,]+ published for 'train'"):
        built(section(task=task, paths=paths))
    metrics = built(section(task=task, paths=paths, allow_count_mismatch=True))
    assert metrics["task"] == task


def test_the_published_numbers_are_checked_split_by_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PUBLISHED_COUNTS, "qqp", {"train": 40, "valid": 5, "test": 6})
    with pytest.raises(ValueError, match=r"test\.jsonl: 5 pairs; qqp has 6 published for 'test'"):
        built(section(task="qqp", paths=three()))
    monkeypatch.setitem(PUBLISHED_COUNTS, "qqp", {"train": 41, "valid": 5, "test": 5})
    assert built(section(task="qqp", paths=three(lines(GOOD) + b"{}\n"), skip_bad=True))["sentences"]["train"] == 40


def test_parquet_files_of_a_folder(tmp_path: Path) -> None:
    for name, rows in (("train", GOOD), ("validation", GOOD[:5]), ("test", GOOD[:4])):
        columns = {key: [row[key] for row in rows] for key in ("src", "trg")}
        Path("data").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), f"data/{name}-00000-of-00001.parquet")
    metrics = built(section(repository="data"))
    assert metrics["sentences"] == {"train": 40, "valid": 5, "test": 4}


def test_an_empty_target_of_a_parquet_file_is_named_by_its_row() -> None:
    for name in ("train", "validation", "test"):
        Path("data").mkdir(exist_ok=True)
        targets = ["b", "\u200b\u2060" if name == "test" else "d", "f"]
        pq.write_table(pa.table({"src": ["a", "c", "e"], "trg": targets}), f"data/{name}-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"test-00000-of-00001\.parquet: row 2 has an empty 'trg'; expected a target"):
        built(section(repository="data"))
    assert built(section(repository="data", skip_bad=True))["skipped"] == {"test": {"empty_target": 1}}


@pytest.mark.parametrize(
    ("null", "reason", "told"),
    [("src", "no_source", "has no text under 'src'"), ("trg", "no_target", "has no text under 'trg'")],
)
def test_a_null_of_a_parquet_file_is_named_by_its_row_or_skipped(null: str, reason: str, told: str) -> None:
    Path("data").mkdir()
    for name in ("train", "validation", "test"):
        columns: dict[str, list[str | None]] = {"src": ["a", "c", "e"], "trg": ["b", "d", "f"]}
        if name == "test":
            columns[null][1] = None
        pq.write_table(pa.table(columns), f"data/{name}-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=rf"test-00000-of-00001\.parquet: row 2 {told}; expected src and trg"):
        built(section(repository="data"))
    metrics = built(section(repository="data", skip_bad=True))
    assert metrics["skipped"] == {"test": {reason: 1}}
    assert metrics["sentences"]["test"] == 2


def test_a_held_out_pair_whose_source_or_target_stands_in_train_is_left_out_and_counted() -> None:
    """Case and punctuation aside, as a verse of one book is quoted in another; published splits are kept."""
    found = [Pair(f"g{n}", f"He said {n}.", f"He spoke {n}.") for n in range(60)]
    split_of = {pair.group: _split(pair) for pair in found}
    train = next(pair for pair in found if split_of[pair.group] == "train")
    test = [pair for pair in found if split_of[pair.group] == "test"]
    valid = [pair for pair in found if split_of[pair.group] == "valid"]
    quoting = Pair(test[0].group, train.source.upper().replace(".", " !"), "Another target")
    quoted = Pair(valid[0].group, "Another source", f"“{train.target[:-1]}”")
    nothing = [Pair(train.group, "", "One target"), Pair(test[0].group, "", "Two targets")]
    metrics = build_pairs(corpus(section(paths=ALL)), [*found, quoting, quoted, *nothing], Skipped(), Path("text"))
    assert metrics["skipped"] == {"test": {"in_train": 1}, "valid": {"in_train": 1}}
    assert metrics["dropped"] == {"in_train": 2}
    kept = {pair for split in SPLITS for pair in read_pairs(Path("text"), split)}
    assert len(kept) == len(found) + 2
    assert (quoting.source, quoting.target) not in kept
    assert (quoted.source, quoted.target) not in kept
    assert ("", "Two targets") in kept, "an empty source tells nothing"
    built(section(paths=three()))
    assert len(list(read_pairs(Path("text"), "test"))) == 5, "though all of them are in train"


ALL = {"all": "corpora/all.jsonl"}


def _split(pair: Pair) -> str:
    return assign_split(Document(pair.group, pair.target), corpus(section(paths=ALL)))


def test_no_more_pairs_than_wanted() -> None:
    metrics = built(section(paths=three()), max_sentences=30)
    assert sum(metrics["sentences"].values()) == 30
    assert metrics["dropped"] == {"over_max_sentences": 20}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"task": "qqp"}, "task 'qqp' with none; expected one of paths, repository"),
        ({"task": "kjv_web", "repository": "x"}, "expected one of packages"),
        ({"task": "wordnet_gloss", "paths": {"all": "x"}}, "task 'wordnet_gloss' with paths; expected one of packages"),
        (
            {"task": "kjv_web", "packages": ["a"]},
            r"'kjv_web' with 1 \(a\); expected 2: King James' Bible and the",
        ),
        ({"task": "wordnet_gloss", "packages": ["a", "b"]}, r"'wordnet_gloss' with 2 \(a, b\); expected 1: WordNet's"),
        ({"task": "wordnet_gloss", "packages": []}, r"'wordnet_gloss' with 0 \(none\); expected 1: WordNet's"),
        ({"paths": {"train": "a", "valid": "b"}}, "expected train, valid and test, or all"),
    ],
)
def test_a_section_from_no_place_or_half_of_one_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        section(**values)


BIBLE = """\
from pythonbible.bible.bible import Bible
raise SystemExit("parsed and never run")
bible = Bible(
    Version.{version},
    {text!r},
    {starts!r},
    {ends!r},
    {{Book.A: {{1: 20}}}},
    {{{titles}}},
    {{}},
    False,
)
"""
BOOKS = 20


def bible_wheel(name: str, say: str, missing: int) -> config.Package:
    """A wheel with one verse of every chapter of small books, but for one that is missing."""
    text, starts, ends = "", {}, {}
    for book in range(1, BOOKS + 1):
        for chapter in range(1, 6):
            number = book * 1_000_000 + chapter * 1000 + 1
            if number != missing:
                starts[number] = len(text)
                text += f" 1. {say} [was] book {book}`s chapter {chapter}.\n"
                ends[number] = len(text)
    titles = ", ".join(f"Book.B{book}: 'Book {book}'" for book in range(1, BOOKS + 1))
    wheel = Path(f".cache/packages/{name}-1.0-py3-none-any.whl")
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        module = BIBLE.format(version=name.upper(), text=text, starts=starts, ends=ends, titles=titles)
        archive.writestr(f"{name}/plain_text_bible.py", module)
    return config.Package(version="1.0", sha256=sha256(wheel))


def test_two_bibles_verse_by_verse_and_no_book_in_two_splits() -> None:
    packages = {"old": bible_wheel("old", "Thus", 1_001_001), "new": bible_wheel("new", "So", 2_001_001)}
    source = section(task="kjv_web", packages=["old", "new"])
    found = list(pairs(source, packages, Skipped()))
    assert len(found) == 5 * BOOKS - 2, "a verse that one of them lacks is no pair"
    chapter = "was book 1's chapter 2."
    assert found[0] == Pair("Book 1", f"Thus {chapter}", f"So {chapter}", book="Book 1")
    metrics = build_pairs(corpus(source), found, Skipped(), Path("text"))
    books = {
        split: {target.split("book ")[1].split("'")[0] for _, target in read_pairs(Path("text"), split)}
        for split in SPLITS
    }
    assert metrics["documents"] == {split: len(books[split]) for split in SPLITS}
    assert sum(map(len, books.values())) == BOOKS, "no book is in two splits"
    assert metrics["held_out_books"]["test"] == sorted(f"Book {book}" for book in books["test"])
    assert metrics["targets_in_train"] == {"valid": 0, "test": 0}


def test_a_wheel_without_a_bible_is_refused() -> None:
    packages = {"old": bible_wheel("old", "Thus", 0)}
    wheel = Path(".cache/packages/new-1.0-py3-none-any.whl")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("new/plain_text_bible.py", "bible = None\n")
    packages["new"] = config.Package(version="1.0", sha256=sha256(wheel))
    with pytest.raises(ValueError, match="0 calls of Bible; expected one call"):
        list(pairs(section(task="kjv_web", packages=["old", "new"]), packages, Skipped()))


def test_a_repository_out_of_reach_says_what_else_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        OSError, match=r"corpus\.pairs\.repository: 'some/pairs' .*corpora/ and name them as corpus\.pairs\.paths"
    ):
        built(section(repository="some/pairs"))
