"""What the entries on pairs stand on: the candidates that a finished run of a corpus of pairs wrote, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from diffusionbert.arms.build import trained_arm
from diffusionbert.arms.diffusion_lm import DiffusionLM
from diffusionbert.config import Params, load
from diffusionbert.deviations.figures import RESAMPLES, Array, Figure, Figures, of_interval
from diffusionbert.deviations.ground import LINEAR, SPINDLE, Effort, Ground
from diffusionbert.metrics.candidates import Rule, choice
from diffusionbert.metrics.diffuseq import spaced_words
from diffusionbert.metrics.pair_contrasts import same_sources
from diffusionbert.metrics.perplexity import mean_interval
from diffusionbert.metrics.sentence_bleu import Counted
from diffusionbert.stages.compute import Machine
from diffusionbert.stages.inputs import Candidates, groups_of, read_candidates
from diffusionbert.stages.pairs import COPY
from diffusionbert.words import split_words

Ways = Mapping[str, tuple[str, Array]]  # key -> what it is, and its score of every source
PARAMS = "params.yaml"  # of a run, beside its results
EMBEDDED = "diffusion_lm"  # the system that DiffuSeq is an arm of


def candidates_file(results: Path, row: str) -> Path:
    return results / "sample" / row / "candidates.jsonl"


def nats_file(results: Path, row: str) -> Path:
    return results / "evaluate" / row / "sentences.parquet"


def embedded(params: Params) -> list[str]:
    """The arms of DiffuSeq's system, replicates left out."""
    return [row for row in groups_of(params) if params.arms[row].system == EMBEDDED]


def lacks(results: Path) -> Path | None:
    """The first file that the entries read and that is not there: git keeps a run's figures, not its texts."""
    if not (results / PARAMS).exists():
        return results / PARAMS
    params = load(results / PARAMS)
    files = [candidates_file(results, row) for row in groups_of(params)]
    files += [nats_file(results, row) for row in (LINEAR, SPINDLE)]
    files += [results / "train" / row / "model" for row in (LINEAR, *embedded(params))]
    return next((file for file in files if not file.exists()), None)


@dataclass(frozen=True)
class Answers:
    """One row's candidates for every source, counted for BLEU in our words or in DiffuSeq's."""

    label: str
    candidates: list[list[Counted]]
    references: list[Counted]

    def chosen(self, rule: Rule = "mbr") -> list[Counted]:
        """One text of each source."""
        return [row[choice(row, rule)] for row in self.candidates]


def counted(held: Candidates, label: str, *, spaced: bool = False) -> Answers:
    def count(text: str) -> Counted:
        words = split_words(text)
        return Counted.of(spaced_words(words) if spaced else words)

    texts = [[count(text) for text in several] for several in held.texts]
    return Answers(label, texts, [count(text) for text in held.references])


@dataclass(frozen=True, eq=False)
class PairGround:
    """A finished run of a corpus of pairs; its rows are the arms, without replicates of other training seeds."""

    params: Params
    results: Path
    machine: Machine
    effort: Effort = field(default_factory=Effort)

    @cached_property
    def run(self) -> Ground:
        """Its trained arms and its tokens."""
        return Ground(self.params, self.results, self.machine, self.effort)

    @cached_property
    def few(self) -> Ground:
        """The same with few targets, for what asks the network in every stratum of T."""
        few = replace(self.effort, sentences=self.effort.spread_sentences)
        return Ground(self.params, self.results, self.machine, few)

    @cached_property
    def diffuseq(self) -> tuple[str, DiffusionLM]:
        """The first arm of its system, with its label. Raises ValueError when there is none."""
        if not (names := embedded(self.params)):
            raise ValueError(f"{self.params.profile}: arms: none of system '{EMBEDDED}'; expected one")
        run, folder = self.run, self.results / "train" / names[0] / "model"
        arm = trained_arm(names[0], self.params, folder, run.shards, run.table, self.machine.device)
        assert isinstance(arm, DiffusionLM), "its system says so"
        return self.label(names[0]), arm

    @property
    def seed(self) -> int:
        return self.params.metrics.seed

    @property
    def rows(self) -> Sequence[str]:
        return list(groups_of(self.params))

    def candidates_file(self, row: str) -> Path:
        return candidates_file(self.results, row)

    def nats_file(self, row: str) -> Path:
        return nats_file(self.results, row)

    @cached_property
    def candidates(self) -> dict[str, Candidates]:
        """Raises ValueError where there are not two candidates, or the linear arm wrote too little to compare."""
        if missing := {LINEAR, SPINDLE} - set(self.rows):
            raise ValueError(f"{self.params.profile}: arms: no {', '.join(sorted(missing))}; expected both")
        found = {row: read_candidates(self.candidates_file(row)) for row in self.rows}
        same_sources({str(self.candidates_file(row)): held.asked for row, held in found.items()})
        for row, held in found.items():
            if len(held.texts[0]) < 2:
                raise ValueError(f"{self.candidates_file(row)}: one candidate a source; expected two at least")
        if not any(sum(bool(split_words(text)) for text in texts) > 1 for texts in found[LINEAR].texts):
            raise ValueError(f"{self.candidates_file(LINEAR)}: no source with two texts that are not empty")
        return found

    @cached_property
    def answers(self) -> dict[str, Answers]:
        """In this project's words."""
        return {row: counted(held, self.label(row)) for row, held in self.candidates.items()}

    @cached_property
    def spaced(self) -> dict[str, Answers]:
        """In the words of DiffuSeq's script."""
        return {row: counted(held, self.label(row), spaced=True) for row, held in self.candidates.items()}

    @cached_property
    def copy(self) -> Candidates:
        """Each source as its own answer: text that is no noise, and shares much with its reference."""
        held = self.candidates[LINEAR]
        return replace(held, texts=[[source] for source in held.sources])

    @property
    def answers_and_copy(self) -> dict[str, Answers]:
        return {**self.answers, COPY: counted(self.copy, self.label(COPY))}

    @property
    def spaced_and_copy(self) -> dict[str, Answers]:
        return {**self.spaced, COPY: counted(self.copy, self.label(COPY), spaced=True)}

    @property
    def references(self) -> list[Counted]:
        return self.answers[LINEAR].references

    def label(self, row: str) -> str:
        return "copy of the source" if row == COPY else self.params.arms[row].label

    def mean(self, what: str, unit: str, values: Array, over: str | None = None) -> Figure:
        """The mean over sources, each with its interval over them."""
        found = mean_interval(values, np.random.default_rng(self.seed), RESAMPLES)
        return of_interval(what, unit, found, f"{len(values)} sources" if over is None else over)

    def levels(self, row: str, unit: str, ways: Ways) -> Figures:
        """Each way of scoring a row."""
        label = self.label(row)
        return {f"{row}_{key}": self.mean(f"{label}: {what}", unit, values) for key, (what, values) in ways.items()}

    def differences(self, row: str, unit: str, ways: Ways) -> Figures:
        """Each way but the first minus the first, paired by source."""
        label, (_, first) = self.label(row), next(iter(ways.values()))
        return {
            f"{row}_{key}_difference": self.mean(f"{label}: {what}, difference", unit, values - first)
            for key, (what, values) in list(ways.items())[1:]
        }
