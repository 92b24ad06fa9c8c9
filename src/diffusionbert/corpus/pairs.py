"""Corpora of pairs, a source and the target that is to be generated of it: where they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from diffusionbert import config
from diffusionbert.corpus import bible, glosses, pair_files, parquet
from diffusionbert.corpus.sentences import normalize_space

Published = Literal["train", "valid", "test"]
# Yuan et al. 2212.10325, table 4: DiffuSeq's splits (Gong et al. 2210.08933), which its README gives in thousands.
PUBLISHED_COUNTS: dict[str, dict[Published, int]] = {
    "qqp": {"train": 144_715, "valid": 2_048, "test": 2_500},
    "quasar_t": {"train": 116_953, "valid": 2_048, "test": 10_000},
    "wiki_auto": {"train": 677_751, "valid": 2_048, "test": 5_000},
    "cc": {"train": 3_382_137, "valid": 2_048, "test": 10_000},
}
_NAMES_OF: dict[Published, tuple[str, ...]] = {
    "train": ("train",),
    "valid": ("valid", "validation", "dev"),
    "test": ("test",),
}


@dataclass(frozen=True)
class Pair:
    """A source and its target, white space normalised; the source may be empty, the target is not.

    Pairs of one `group` must not be torn over two splits; `published` is set where a split is theirs already. A `word`
    is what the target defines, where it defines one.
    """

    group: str
    source: str
    target: str
    published: Published | None = None
    book: str | None = None
    word: str | None = None


@dataclass
class Skipped:
    """What was left out on the user's word: how many of each reason, under the name of what was being read."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, place: str, reason: str, number: int = 1) -> None:
        self.counts.setdefault(place, Counter())[reason] += number

    def of(self, place: str) -> int:
        return self.counts.get(place, Counter()).total()


def pairs(source: config.Pairs, packages: Mapping[str, config.Package], skipped: Skipped) -> Iterator[Pair]:
    """Every pair of the task; what `skip_bad` leaves out is added to `skipped`.

    Raises ValueError naming file and line of a pair that is none, and when a split of DiffuSeq's tasks has not the
    published number of pairs (unless `allow_count_mismatch`).
    """
    if source.task == "wordnet_gloss" and source.packages is not None:
        for entry in glosses.entries(source.packages[0], packages):
            published: Published | None = "train" if entry.in_largest else None
            yield Pair(entry.family, entry.source, entry.gloss, published, word=entry.word)
        return
    if source.packages is not None:
        first, second = source.packages
        for verse in bible.verses(first, second, packages):
            yield Pair(verse.book, verse.first, verse.second, book=verse.book)
        return
    counts: Counter[str] = Counter()
    for place, text, target, published in _read(source, skipped):
        counts[place] += 1
        clean = normalize_space(text)
        # equal sources fall into one split, and so do equal targets of no source at all
        yield Pair(clean or normalize_space(target), clean, normalize_space(target), published)
    _check_counts(source, counts, skipped)


def _read(source: config.Pairs, skipped: Skipped) -> Iterator[tuple[str, str, str, Published | None]]:
    fields = (source.source_field, source.target_field)
    if source.paths is not None:
        for place, name in source.paths.named.items():
            published = None if place == "all" else _published(place)
            bad = (lambda reason, place=place: skipped.add(place, reason)) if source.skip_bad else None
            for text, target in pair_files.read(Path(name), fields, f"corpus.pairs.paths.{place}", bad):
                yield place, text, target, published
        return
    assert source.repository is not None, "the schema asks for it"
    for split, names in _NAMES_OF.items():
        for path in _parquet(source.repository, source.revision, split, names):
            rows = zip(*(parquet.texts_or_none(path, name) for name in fields), strict=True)
            for number, (text, target) in enumerate(rows, start=1):
                if text is not None and target is not None and normalize_space(target):
                    yield split, text, target, split
                    continue
                if not source.skip_bad:
                    raise ValueError(f"{path}: row {number} {_fault(text, target, fields)}")
                skipped.add(split, "no_source" if text is None else "no_target" if target is None else "empty_target")


def _fault(text: str | None, target: str | None, fields: tuple[str, str]) -> str:
    if text is None or target is None:
        return f"has no text under '{fields[0] if text is None else fields[1]}'; expected {' and '.join(fields)}"
    return f"has an empty '{fields[1]}'; expected a target"


def _published(place: str) -> Published:
    return next(split for split in _NAMES_OF if split == place)


def _parquet(repository: str, revision: str | None, split: Published, names: tuple[str, ...]) -> list[Path]:
    """The split's files, by whichever of its names the repository has."""
    faults: list[ValueError] = []
    for name in names:
        try:
            return parquet.files(repository, revision, name, "corpus.pairs.repository")
        except ValueError as error:
            faults.append(error)
    raise ValueError(f"{faults[0]} (nor of {', '.join(names[1:])})" if names[1:] else str(faults[0]))


def _check_counts(source: config.Pairs, counts: Counter[str], skipped: Skipped) -> None:
    published = PUBLISHED_COUNTS.get(source.task)
    if published is None or source.allow_count_mismatch:
        return
    expected = dict(published) if source.is_split else {"all": sum(published.values())}
    for place, number in expected.items():
        if (found := counts[place] + skipped.of(place)) != number:
            where = source.repository or (source.paths.named[place] if source.paths else place)
            raise ValueError(
                f"{where}: {found:,} pairs; {source.task} has {number:,} published for '{place}' "
                "(corpus.pairs.allow_count_mismatch: true takes it as it is)"
            )
