"""Tokenizers, backbones and arms: what is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from diffusionbert.config.section import Count, Name, NonNegative, Positive, PositiveFloat, Section, Sha256


class Tokenizer(Section):
    source: Literal["package", "hub", "path", "train"]
    package: str | None = None
    folder: str | None = None
    name: str | None = None
    sha256: Sha256 | None = None  # of the folder, for source 'path': another content is another setting
    vocab_size: Annotated[int, Field(ge=1, le=65_536)] | None = None  # token ids are stored in 16 bits
    lower_case: bool | None = None  # null: as the tokenizer does by itself
    packed: bool = False  # rows of max_length tokens, sentences one after another with [SEP] between them

    @model_validator(mode="after")
    def _source_is_described(self) -> Tokenizer:
        needed = {
            "package": ["package", "folder"],
            "hub": ["name"],
            "path": ["name", "sha256"],
            "train": ["vocab_size"],
        }
        _need(self, needed[self.source])
        return self


class Tokenize(Section):
    max_length: Annotated[int, Field(ge=1, le=65_535)] = 128  # tokens; the words of a row are stored in 16 bits
    shard_size: Positive = 50_000
    workers: Positive | None = None  # processes that encode; null: runtime.threads. The shards do not depend on it
    max_source: Positive | None = None  # of pairs: longer sources are truncated; null: none is
    max_target: Positive | None = None  # of pairs: longer targets are truncated
    target_length: Literal["padded", "given"] | None = None  # of pairs: filled up with end tokens, or told


class Information(Section):
    smoothing: PositiveFloat = 1.0


class Spindle(Section):
    spindle_lambda: NonNegative
    num_steps: Positive
    example: str


class Backbone(Section):
    """Where a masked LM comes from; `fresh` gives its shape and no weights."""

    source: Literal["package", "hub", "path", "fresh"]
    package: str | None = None
    folder: str | None = None
    name: str | None = None
    sha256: Sha256 | None = None  # of the folder, for source 'path'
    config: dict[str, Any] | None = None
    head: Literal["identity"] | None = None  # of an encoder that comes without an MLM head; null: its own

    @model_validator(mode="after")
    def _source_is_described(self) -> Backbone:
        needed = {"package": ["package", "folder"], "hub": ["name"], "path": ["name", "sha256"], "fresh": ["config"]}
        _need(self, needed[self.source])
        if self.head is not None and self.source == "fresh":
            raise ValueError(f"head is '{self.head}' with source 'fresh'; only an encoder with weights lacks one")
        return self


def _need(described: Tokenizer | Backbone, keys: list[str]) -> None:
    for key in keys:
        if getattr(described, key) is None:
            how = f" (`python -m diffusionbert sum {described.name}` tells it)" if key == "sha256" else ""
            raise ValueError(f"source '{described.source}' needs the key '{key}'{how}")


class Arm(Section):
    """One row of the ablation: what every arm has, and under `settings` what its system may be set to.

    `label`, `baseline` and `replicate_of` only name and compare, so that changing them trains nothing again.
    """

    label: str
    baseline: Name | None = None
    replicate_of: Name | None = None  # the arm that this one is, under one more seed
    tokenizer: Name
    system: Name
    backbone: Name
    seed: Count = 0
    settings: dict[str, Any] = Field(default_factory=dict)
