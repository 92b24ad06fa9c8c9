"""Stage metrics: scores of all texts, frontiers and the real-text ceiling; every arm against every other."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffusionbert.config import Arm, Metrics, Params
from diffusionbert.files import write_json
from diffusionbert.metrics import seeds
from diffusionbert.metrics.contrasts import contrasts, text_contrasts
from diffusionbert.metrics.perplexity import Paired, paired
from diffusionbert.metrics.races import race
from diffusionbert.metrics.scores import (
    REAL_TEXT,
    PerSample,
    Texts,
    frontier_signatures,
    median_words,
    per_sample,
    real_texts,
    signatures,
    summary,
)
from diffusionbert.progress import track
from diffusionbert.stages import shell
from diffusionbert.stages.inputs import (
    NOT_FIGURES,
    groups_of,
    read_curve,
    read_frontier,
    read_nats,
    read_samples,
    read_split,
    references_of,
    same_size,
)
from diffusionbert.words import CASE, split_cased, split_words

LINEAR = "order_linear"
# The comparison that the paper's table makes: the spindle arm as the released code scores it, over the linear
# arm as it scores that one, which at lambda = 0 is the valid bound but for a cap.
AS_PUBLISHED = "released_against_valid"


def body(context: shell.Context) -> None:
    params, paths = context.params, context.paths
    nats = {arm: read_nats(paths["evaluate"] / arm / "sentences.parquet") for arm in params.arms}
    # what is generated of pairs has a reference of its own: stage pairs scores it
    told, scores = ({"arms": {}}, {}) if params.corpus.source == "pairs" else texts(params, paths)
    result = told | {
        "paired": paired_figures(params, nats),
        "orders": order_effects(params, nats),
        "races": races(params, paths["train"]),
        **over_rows(params, nats, scores),
    }
    write_json(paths["out"] / "metrics.json", result)
    context.journal.metrics(flat(result["arms"]))


def texts(params: Params, paths: Mapping[str, Path]) -> tuple[dict[str, Any], dict[str, PerSample]]:
    """The scores of samples, frontiers and real text as they are told, and those of every sample."""
    settings = params.metrics
    mask_is_told = params.sample.sampler == "released"  # the release's may leave [MASK]; it is counted then
    texts = {arm: read_samples(paths["sample"] / arm / "samples.jsonl", mask_is_told) for arm in params.arms}
    frontier = {arm: read_frontier(paths["frontier"] / arm / "samples.jsonl") for arm in params.frontier.arms}
    references = references_of(read_split(paths["corpus"] / "text", "test"), settings)
    real = read_split(paths["corpus"] / "text", "valid")
    samples = Group.of(texts, real, settings.seed)
    points = {(arm, point.number): point for arm, each in frontier.items() for point in each}
    beside = Group.of({f"{arm}/{number}": point.texts for (arm, number), point in points.items()}, real, settings.seed)
    every = {**samples.texts, **{f"frontier/{name}": each for name, each in beside.texts.items()}}
    split = split_words if settings.case == CASE else split_cased
    scores = per_sample(every, (split(text) for text in track(references, label="BLEU references")))
    told = {name: summary(every[name], each, settings.seed, settings.bootstrap) for name, each in scores.items()}
    ceiling = told[REAL_TEXT]
    signature = signatures(samples.size, len(references), ceiling["samples"], samples.cut, settings.seed, settings.case)
    result = {
        "signature": signature
        | frontier_signatures(beside.size, len(references), beside.cut, settings.seed, settings.case),
        "arms": {arm: told[arm] for arm in params.arms},
        "real_text": ceiling,
        "references": len(references),
        "frontier": {
            arm: [point.setting | told[f"frontier/{arm}/{point.number}"] for point in each]
            for arm, each in frontier.items()
        },
        "frontier_real_text": told[f"frontier/{REAL_TEXT}"],
    }
    return result, scores


@dataclass(frozen=True)
class Group:
    """Sets of samples of one size, and real text of that size beside them, no longer than theirs."""

    texts: dict[str, Texts]
    size: int
    cut: int

    @classmethod
    def of(cls, texts: Mapping[str, Texts], real: list[str], seed: int) -> Group:
        """Raises ValueError when the sizes differ."""
        size = same_size({name: len(each.quality) for name, each in texts.items()})
        cut = median_words([words for each in texts.values() for words in each.quality + each.diversity])
        return cls({**texts, REAL_TEXT: real_texts(real, size, cut, seed)}, size, cut)


def over_rows(
    params: Params, nats: Mapping[str, Mapping[str, np.ndarray]], scores: Mapping[str, PerSample]
) -> dict[str, Any]:
    """The rows of the ablation against each other, and each over its seeds."""
    settings, groups = params.metrics, groups_of(params)
    return {
        "contrasts": contrasts({name: nats[name] for name in groups}, settings.seed, settings.bootstrap),
        "text_contrasts": text_contrasts(
            {name: scores[name] for name in groups if name in scores}, settings.seed, settings.bootstrap
        ),
        "seeds": {name: seeds.told(group, nats, scores) for name, group in groups.items() if len(group) > 1},
        "spread": spreads(params, groups, nats, scores),
    }


def races(params: Params, train: Path) -> list[dict[str, Any]]:
    """Every pretrained arm at a share of its steps against the end of the random arm that is its twin, and its own."""
    settings = params.metrics
    found = []
    for name, other in twins(params):
        ours, theirs = (read_curve(train / arm / "validation.parquet") for arm in (name, other))
        held = race(ours, theirs, settings.budget_share, settings.seed, settings.bootstrap)
        found.append(
            {
                "pretrained": name,
                "random": other,
                "step": held.step,
                "is_scored": held.is_scored,
                "against_random": held.against_other.as_dict(),
                "against_itself": held.against_itself.as_dict(),
            }
        )
    return found


def twins(params: Params) -> list[tuple[str, str]]:
    """A pretrained arm and the random one that it is but for its first weights; replicates have none."""
    rows = {name: arm for name, arm in params.arms.items() if arm.replicate_of is None}
    alike = ("tokenizer", "system", "backbone", "seed")
    return [
        (name, other)
        for name, arm in rows.items()
        for other, twin in rows.items()
        if arm.settings.get("init") == "pretrained"
        and twin.settings == arm.settings | {"init": "random"}
        and all(getattr(arm, key) == getattr(twin, key) for key in alike)
    ]


def spreads(
    params: Params,
    groups: Mapping[str, seeds.Group],
    nats: Mapping[str, Mapping[str, np.ndarray]],
    scores: Mapping[str, PerSample],
) -> list[dict[str, Any]]:
    """Every arm against its baseline, seed by seed, where both have the seeds for it."""
    pairs = [(name, baseline) for name in groups if (baseline := params.arms[name].baseline) is not None]
    found = [seeds.spread(name, other, groups, nats, scores) for name, other in pairs if other in groups]
    return [each for each in found if each is not None]


def paired_figures(params: Params, nats: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Every arm against its baseline, for every figure that both have."""
    result = {}
    for name, arm in params.arms.items():
        if arm.baseline is None:
            continue
        ours, theirs = nats[name], nats[arm.baseline]
        if not np.array_equal(ours["sentence"], theirs["sentence"]):
            raise ValueError(f"{name} and {arm.baseline} were scored on different sentences; expected the same")
        shared = [figure for figure in ours if figure in theirs and figure not in NOT_FIGURES]
        figures = {figure: against(ours, theirs, figure, params.metrics) for figure in shared}
        if spindle_over_linear(arm, params.arms[arm.baseline]) and "released" in ours and "valid" in theirs:
            as_published = {**theirs, "released": theirs["valid"]}
            figures[AS_PUBLISHED] = against(ours, as_published, "released", params.metrics)
        result[name] = {
            "baseline": arm.baseline,
            "figures": {key: _as_dict(value) for key, value in figures.items()},
        }
    return result


def spindle_over_linear(arm: Arm, baseline: Arm) -> bool:
    schedules = (arm.settings.get("schedule", "linear"), baseline.settings.get("schedule", "linear"))
    return schedules == ("spindle", "linear")


def order_effects(params: Params, scored: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Every arm under each spindle order against itself under the linear one, where it was scored so."""
    result = {}
    for name in params.arms:
        nats = scored[name]
        others = [figure for figure in nats if figure.startswith("order_") and figure != LINEAR]
        if LINEAR in nats and others:
            linear = {**nats, **dict.fromkeys(others, nats[LINEAR])}
            result[name] = {each: _as_dict(against(nats, linear, each, params.metrics)) for each in others}
    return result


def against(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], figure: str, settings: Metrics) -> Paired:
    return paired(
        ours[figure],
        theirs[figure],
        ours["words"],
        np.random.default_rng(settings.seed),
        settings.bootstrap,
        baseline_sizes=theirs["words"],
    )


def _as_dict(figure: Paired) -> dict[str, Any]:
    return {
        "difference_nats_per_sentence": figure.difference.as_dict(),
        "perplexity_per_word_ratio": figure.ratio.as_dict(),
    }


def flat(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """One number per arm and score, for the tracker."""
    return {
        f"{arm}.{name}": value["value"] if isinstance(value, dict) else float(value)
        for arm, values in scores.items()
        for name, value in values.items()
    }


def sections(params: Params, instance: str | None) -> dict[str, Any]:
    return {"metrics": params.metrics.model_dump()}


def main(argv: Sequence[str] | None = None) -> int:
    paths = ("corpus", "evaluate", "sample", "frontier", "train", "out")
    return shell.run("metrics", body, argv, paths=paths, sections=sections)


if __name__ == "__main__":
    sys.exit(main())
