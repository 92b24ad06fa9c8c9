"""evaluate: nats per sentence and perplexities of one arm on the test split, under every protocol."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionbert.arms.base import Arm, Drawing, Figure, Scorer, Weighing
from diffusionbert.arms.build import check, trained_arm
from diffusionbert.config import Evaluate, Params
from diffusionbert.corpus.batches import Batch, in_order_of_length
from diffusionbert.corpus.shards import Shards, Split
from diffusionbert.diffusion.importance import importance_bound
from diffusionbert.diffusion.sampling import strided_grid
from diffusionbert.evaluation import Array, Scores, evaluate, trajectory_weights
from diffusionbert.files import write_json
from diffusionbert.metrics.perplexity import figures, paired
from diffusionbert.metrics.steps import told_steps
from diffusionbert.stages import shell
from diffusionbert.stages.compute import Machine, named_arm, tokens_of
from diffusionbert.tables import write_table


def _body(context: shell.Context) -> None:
    params, name, out = context.params, str(context.instance), context.paths["out"]
    settings, row = params.evaluate, named_arm(params, name)
    check(params, str(context.file))
    machine = Machine.prepare(params.runtime)
    shards, table = tokens_of(context)
    arm = trained_arm(name, params, context.paths["model"], shards, table, machine.device)
    split = shards["test"]
    batches = list(in_order_of_length(split, settings.num_sentences, settings.batch_size, shards.special.pad_id))
    scorer = arm.scorer(settings.orders, settings.released_lambda, continuous=settings.time == "continuous")
    # a grid of K steps is for systems that have no draws of their own
    eval_steps = None if scorer.num_steps is None or isinstance(scorer, Drawing) else settings.num_steps
    with machine.autocast():
        scores = evaluate(
            scorer,
            batches,
            num_strata=settings.num_strata,
            num_eval_steps=eval_steps,
            seed=settings.seed,
            device=machine.device,
            label=f"evaluate@{name}",
        )
        described = dict(scorer.figures)
        if _has_a_limit(params, name, scorer):
            limit = arm.scorer([], settings.released_lambda, continuous=True)
            described["continuous"] = limit.figures["valid"]
            scores["continuous"] = _in_continuous_time(limit, batches, settings, machine, name)
        steps = _steps(arm, settings, split, shards.special.pad_id, machine, name)
        log_weights = _log_weights(scorer, settings, split, shards.special.pad_id, machine, name)
    count = min(settings.num_sentences, len(split))
    words = split.words[:count].astype(np.int64)
    tokens = scored_tokens(split, count, shards.special.sep_id)
    _write_sentences(out / "sentences.parquet", words, tokens, scores)
    told = {
        figure: _figure(each, scores[figure], words, tokens, settings.bootstrap, settings.seed)
        for figure, each in described.items()
    }
    write_json(
        out / "metrics.json",
        {
            "arm": name,
            "system": row.system,
            **machine.described,
            "num_steps": scorer.num_steps,
            "eval_steps": eval_steps,
            "time": None if scorer.num_steps is None else "continuous" if scorer.continuous else "discrete",
            "strata": None if scorer.num_steps is None else settings.num_strata,
            "sentences": count,
            "words": int(words.sum()),
            "tokens": int(tokens.sum()),
            "seed": settings.seed,
            **_told_of_pairs(shards, count),
            "importance": None if log_weights is None else _importance(log_weights, scorer, words, tokens, settings),
            "steps": told_steps(steps, words, tokens, settings.seed, settings.bootstrap),
            "protocols": {figure: value for figure, value in told.items() if not figure.startswith("order_")},
            "orders": {
                figure.removeprefix("order_"): value for figure, value in told.items() if figure.startswith("order_")
            },
        },
    )
    for figure, value in told.items():
        units = ("nats_per_sentence", "perplexity_per_word", "perplexity_per_token")
        context.journal.metrics({f"{figure}_{unit}": value[unit]["value"] for unit in units})


def scored_tokens(split: Split, count: int, end_id: int) -> np.ndarray:
    """How many tokens of each of the first rows are scored, (N,): of pairs those of the target and one end token.

    A target that is filled up has one end where it ends; those behind it are scored too, and say nothing more.
    """
    if split.given is None:
        return split.lengths[:count].astype(np.int64)
    found = []
    for row, given in zip(split.several(np.arange(count)), split.given[:count].tolist(), strict=True):
        ends = row[given:] == end_id
        found.append(len(ends) - max(0, int(ends.sum()) - 1))
    return np.array(found, dtype=np.int64)


def _told_of_pairs(shards: Shards, count: int) -> dict[str, Any]:
    """What a figure of pairs is per: a sentence is a target, and how its length is known."""
    if (given := shards["test"].given) is None:
        return {}
    told = "padded" if shards.padded else "given"
    return {"pairs": {"given_tokens": int(given[:count].sum(dtype=np.int64)), "target_length": told}}


def _figure(
    described: Figure, scores: Scores, words: np.ndarray, tokens: np.ndarray, resamples: int, seed: int
) -> dict[str, Any]:
    summary = figures(scores.nats, words, tokens, np.random.default_rng(seed), resamples)
    return {
        "is_bound": described.is_bound,
        "exact": described.exact,
        "schedule": described.schedule,
        **summary.as_dict(),
        "reveal_nats_per_sentence": float(scores.reveal.mean()),
        "timing_nats_per_sentence": float(scores.timing.mean()),
        "monte_carlo_standard_error_nats": scores.monte_carlo_standard_error,
    }


def _has_a_limit(params: Params, name: str, scorer: Scorer) -> bool:
    """Whether the arm is scored in continuous time too: the same model is then MDLM's, linear and time-agnostic."""
    chosen = params.arms[name].settings
    linear = chosen.get("schedule") == "linear" and chosen.get("time", "tad") == "tad"
    return linear and "valid" in scorer.figures and params.evaluate.time == "discrete"


def _in_continuous_time(limit: Scorer, batches: list[Batch], settings: Evaluate, machine: Machine, name: str) -> Scores:
    return evaluate(
        limit,
        batches,
        num_strata=settings.num_strata,
        num_eval_steps=None,
        seed=settings.seed,
        device=machine.device,
        label=f"evaluate@{name}, continuous time",
        figures=("valid",),
    )["valid"]


def _steps(arm: Arm, settings: Evaluate, split: Split, pad_id: int, machine: Machine, name: str) -> dict[int, Array]:
    """Nats of the first sentences under the K-step model of every K, (N,) each, by the same draws; {} for a system
    whose bound has no such steps.
    """
    scorer = arm.scorer([], settings.released_lambda)
    if "valid" not in scorer.figures:
        return {}
    batches = list(in_order_of_length(split, settings.step_sentences, settings.batch_size, pad_id))
    return {
        num_steps: evaluate(
            scorer,
            batches,
            num_strata=settings.num_strata,
            num_eval_steps=num_steps,
            seed=settings.seed,
            device=machine.device,
            label=f"evaluate@{name}, {num_steps} steps",
            figures=("valid",),
        )["valid"].nats
        for num_steps in sorted(settings.step_counts)
    }


def _log_weights(
    scorer: Scorer, settings: Evaluate, split: Split, pad_id: int, machine: Machine, name: str
) -> Array | None:
    """ln w of the trajectories, (K, N); None where they are not asked for or the system has none to weigh."""
    if settings.importance_samples is None or scorer.num_steps is None or not isinstance(scorer, Weighing):
        return None
    batches = list(in_order_of_length(split, settings.importance_sentences, settings.batch_size, pad_id))
    return trajectory_weights(
        scorer,
        batches,
        grid=strided_grid(scorer.num_steps, settings.num_steps or scorer.num_steps),
        num_samples=settings.importance_samples,
        seed=settings.seed,
        device=machine.device,
        label=f"importance@{name}",
    )


def _importance(
    log_weights: Array, scorer: Scorer, words: np.ndarray, tokens: np.ndarray, settings: Evaluate
) -> dict[str, Any]:
    """The bound of K trajectories, the mean of one on the same draws, and what the tightening gains."""
    num_samples, count = log_weights.shape
    tightened = importance_bound(torch.from_numpy(log_weights)).numpy()
    single = -log_weights.mean(0)
    schedule = scorer.figures["valid"].schedule
    sides = {"tightened": tightened, "one_sample": single}
    told: dict[str, Any] = {
        "is_bound": True,
        "schedule": f"{schedule.rpartition('T = ')[0]}T = {settings.num_steps or scorer.num_steps}",
        "described": f"-ln of the mean of {num_samples} importance weights; the first {count} sentences",
        "samples": num_samples,
        "sentences": count,
    }
    for name, nats in sides.items():
        rng = np.random.default_rng(settings.seed)
        summary = figures(nats, words[:count], tokens[:count], rng, settings.bootstrap)
        told[name] = summary.as_dict()
    rng = np.random.default_rng(settings.seed)
    gain = paired(tightened, single, words[:count], rng, settings.bootstrap)
    told["difference_nats_per_sentence"] = gain.difference.as_dict()
    told["ratio_of_perplexity_per_word"] = gain.ratio.as_dict()
    return told


def _write_sentences(path: Path, words: np.ndarray, tokens: np.ndarray, scores: dict[str, Scores]) -> None:
    columns: dict[str, Any] = {"sentence": np.arange(len(words)), "words": words, "tokens": tokens}
    columns |= {name: figure.nats for name, figure in scores.items()}
    write_table(path, columns)


def _sections(params: Params, name: str | None) -> dict[str, Any]:
    row = named_arm(params, str(name))
    return {
        "arm": row.model_dump(),
        "evaluate": params.evaluate.model_dump(),
        "runtime": params.runtime.model_dump(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(
        "evaluate",
        _body,
        argv,
        paths=("model", "tokens", "information", "out"),
        instance="arm",
        sections=_sections,
    )


if __name__ == "__main__":
    sys.exit(main())
