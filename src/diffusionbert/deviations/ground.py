"""What every measurement stands on: the trained arms of a finished run, its tokens, and how much to spend."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusionbert.arms.absorbing import Absorbing
from diffusionbert.arms.base import Draw, Vocabulary
from diffusionbert.arms.build import new_arm, trained_arm, vocabulary_of
from diffusionbert.config import Params
from diffusionbert.corpus.batches import Batch, in_order_of_length
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import InformationTable, read_information
from diffusionbert.deviations.figures import RESAMPLES, Array, Figure, of_interval
from diffusionbert.diffusion.absorbing import stratified_steps
from diffusionbert.diffusion.bound import Step
from diffusionbert.diffusion.control import control, expected_control
from diffusionbert.diffusion.draws import Purpose, uniforms
from diffusionbert.diffusion.schedules import Linear, ReleasedSpindle, Schedule, Spindle, log_frequency
from diffusionbert.metrics.perplexity import paired, perplexity_interval
from diffusionbert.progress import track
from diffusionbert.stages.compute import Machine

RANDOM, LINEAR, SPINDLE = "d3pm_linear_tad", "diffusionbert_linear_tad", "diffusionbert_spindle_tad"
NATS, PER_WORD, PER_TOKEN = "nats per sentence", "perplexity per word", "perplexity per token"
RATIO = "ratio of perplexities per word"
SHARE = "share"


@dataclass(frozen=True)
class Effort:
    """How much is spent; every figure says what it was taken over."""

    sentences: int = 200  # of the test split, for bounds
    strata: int = 8  # draws of t for each of them
    steps: int = 100  # of each short training
    repeats: int = 8  # of the draws whose spread is itself the figure
    spread_sentences: int = 32
    samples: int = 64  # texts of this project's samplers
    released_samples: int = 16  # the release's asks the head at every position of every step


@dataclass(frozen=True, eq=False)
class Ground:
    """A finished run of a profile, read once."""

    params: Params
    results: Path
    machine: Machine
    effort: Effort = field(default_factory=Effort)

    @cached_property
    def shards(self) -> Shards:
        return Shards.open(self.results / "tokenize" / self._tokenizer / "shards")

    @cached_property
    def table(self) -> InformationTable:
        return read_information(self.results / "information" / self._tokenizer / "table.parquet", self.shards.special)

    @property
    def _tokenizer(self) -> str:
        return self.params.arms[SPINDLE].tokenizer

    @property
    def seed(self) -> int:
        return self.params.evaluate.seed

    @property
    def num_steps(self) -> int:
        """T of the arms."""
        return self.trained(SPINDLE).num_steps

    @property
    def spindle_lambda(self) -> float:
        return self.trained(SPINDLE).settings.spindle_lambda

    @property
    def released_lambda(self) -> float:
        return self.params.evaluate.released_lambda

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return vocabulary_of(self.shards, self.table)

    @cached_property
    def _arms(self) -> dict[str, Absorbing]:
        return {}

    def trained(self, name: str) -> Absorbing:
        """An arm as its train stage left it, ready to be asked."""
        if name not in self._arms:
            folder = self.results / "train" / name / "model"
            self._arms[name] = self._ready(trained_arm(name, self.params, folder, self.shards, self.table))
        return self._arms[name]

    def untrained(self, name: str) -> Absorbing:
        return self._ready(new_arm(name, self.params, self.shards, self.table))

    def _ready(self, arm: object) -> Absorbing:
        if not isinstance(arm, Absorbing):
            raise ValueError(f"results: {type(arm).__name__} is no absorbing arm; expected one")
        arm.module.to(self.machine.device).eval()
        return arm

    def linear(self, num_steps: int | None = None) -> Schedule:
        return Linear(num_steps or self.num_steps)

    def spindle(
        self, spindle_lambda: float, mean: str = "corpus", information: Tensor | None = None, hbar: float | None = None
    ) -> Spindle:
        known = self.vocabulary.information if information is None else information
        return Spindle(
            self.num_steps, known, spindle_lambda, mean, self.vocabulary.mean_information if hbar is None else hbar
        )

    def released(self, spindle_lambda: float, num_steps: int | None = None) -> ReleasedSpindle:
        return ReleasedSpindle(num_steps or self.num_steps, log_frequency(self.vocabulary.counts), spindle_lambda)

    @cached_property
    def batches(self) -> list[Batch]:
        """The first sentences of the test split."""
        size, pad_id = self.params.evaluate.batch_size, self.shards.special.pad_id
        return list(in_order_of_length(self.shards["test"], self.effort.sentences, size, pad_id))

    @property
    def num_sentences(self) -> int:
        return sum(len(batch.index) for batch in self.batches)

    @property
    def words(self) -> NDArray[np.int64]:
        return self.shards["test"].words[: self.num_sentences].astype(np.int64)

    @property
    def tokens(self) -> NDArray[np.int64]:
        return self.shards["test"].lengths[: self.num_sentences].astype(np.int64)

    @property
    def over(self) -> str:
        """What a bound's figures are taken over, in words."""
        return f"{self.num_sentences} test sentences, {self.effort.strata} draws each"

    def draw(self, batch: Batch, stratum: int, num_steps: int) -> Draw:
        """The draw that the evaluate stage makes for these sentences, so that every figure meets the same noise."""
        u = uniforms(self.seed, Purpose.EVALUATION_STEP, step=stratum, indices=batch.index, length=1)[:, 0]
        t = stratified_steps(u, torch.tensor(stratum), min(self.effort.strata, num_steps), num_steps)
        length = batch.tokens.shape[1]
        noise = uniforms(self.seed, Purpose.EVALUATION_MASK, step=stratum, indices=batch.index, length=length)
        return Draw(t - 1, t, noise).to(self.machine.device)

    @torch.no_grad()
    def score(
        self,
        arm: Absorbing,
        schedule: Schedule,
        terms: Mapping[str, Callable[[Step], Tensor]],
        label: str,
        no_costs: Collection[str] = (),
    ) -> dict[str, Array]:
        """The sum over t of each kind of term, by one draw from each stratum: (N,) each, in the order of sentences.

        `terms` give nats per sentence, (B,), of one step; all of them share the network's pass and the noise. The
        evaluate stage's control variate is taken off all but those that `no_costs` names.
        """
        strata = min(self.effort.strata, schedule.num_steps)
        sums = {name: np.zeros(self.num_sentences) for name in terms}
        rounds = [(batch, stratum) for batch in self.batches for stratum in range(strata)]
        expected = torch.zeros(0)
        for batch, stratum in track(rounds, label=label):
            draw = self.draw(batch, stratum, schedule.num_steps)
            by_chance = self.control(batch, draw, schedule)
            if stratum == 0:
                expected = self.expected_control(batch, schedule)
            parts: dict[str, list[Tensor]] = {name: [] for name in terms}
            with self.machine.autocast():
                for step in arm.steps(batch.to(self.machine.device), draw, schedule):
                    for name, of in terms.items():
                        parts[name].append(of(step))
            for name, values in parts.items():
                share = torch.cat(values).double() * schedule.num_steps / strata
                if name not in no_costs:
                    share += (expected - by_chance * schedule.num_steps) / strata
                sums[name][batch.index] += share.cpu().numpy()
        return sums

    def control(self, batch: Batch, draw: Draw, schedule: Schedule) -> Tensor:
        there = batch.to(self.machine.device)
        information = self.vocabulary.information
        return control(
            schedule, there.tokens, there.counted, draw.s, draw.t, draw.uniforms, information, continuous=False
        )

    def expected_control(self, batch: Batch, schedule: Schedule) -> Tensor:
        there, grid = batch.to(self.machine.device), range(schedule.num_steps + 1)
        return expected_control(
            schedule, there.tokens, there.counted, self.vocabulary.information, grid, continuous=False
        )

    def level(self, what: str, nats: Array) -> Figure:
        """Perplexity per word."""
        interval = perplexity_interval(nats, self.words, np.random.default_rng(self.seed), RESAMPLES)
        return of_interval(what, PER_WORD, interval, self.over)

    def ratio(self, what: str, nats: Array, baseline: Array) -> Figure:
        """Perplexity per word over the baseline's, on the same sentences and noise."""
        found = paired(nats, baseline, self.words, np.random.default_rng(self.seed), RESAMPLES)
        return of_interval(what, RATIO, found.ratio, self.over)

    def difference(self, what: str, nats: Array, baseline: Array) -> Figure:
        found = paired(nats, baseline, self.words, np.random.default_rng(self.seed), RESAMPLES)
        return of_interval(what, NATS, found.difference, self.over)
