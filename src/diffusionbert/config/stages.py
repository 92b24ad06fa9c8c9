"""What the machine and the stages from training to the report may be set to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from diffusionbert.config.section import Count, Name, NonNegative, Positive, PositiveFloat, Section, Share


class Runtime(Section):
    threads: Positive = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    logits_budget_mb: Positive = 128
    processes: Positive | Literal["auto"] = 1  # that train one arm together; auto: as many as there are GPUs
    compile: bool = False  # the encoders of training, by torch.compile


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


class Evaluate(Section):
    num_sentences: Positive
    num_strata: Annotated[int, Field(ge=2)]  # one would say nothing of the Monte Carlo error
    time: Literal["discrete", "continuous"] = "discrete"
    num_steps: Positive | None = None  # K of a strided evaluation; null evaluates the T-step model
    batch_size: Positive = 32
    bootstrap: Positive = 1000
    seed: Count = 0
    orders: list[NonNegative] = Field(
        default_factory=list
    )  # lambdas of the corpus-mean spindle under which every arm is scored `valid`
    released_lambda: NonNegative = 0.3
    importance_samples: Annotated[int, Field(ge=2)] | None = None  # trajectories a sentence; null: no such figure
    importance_sentences: Positive = 64
    step_counts: list[Positive] = Field(
        default_factory=list
    )  # K of the K-step models that Table 3 has; of masked diffusions alone
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
