"""Results to tables. One table never mixes devices, dtypes or numbers of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diffusionbert.report.document import NOT_APPLICABLE, NOT_RUN, Block, Table
from diffusionbert.report.evidence import rows
from diffusionbert.report.formats import interval, number, perplexity, setting
from diffusionbert.report.results import ArmResults, Results

PROTOCOLS = ("valid", "oracle", "released")
OWN = ("exact", "bound")  # the one figure of a row that is no masked diffusion
EXACT = ("exact", "with_end")


def per_group(results: Results, build: Callable[[Sequence[ArmResults], str], Table]) -> list[Block]:
    """One table for every device, dtype and number of threads; arms that were not run join the first.

    Replicates are seeds of their rows and have none of their own.
    """
    groups: dict[str, list[ArmResults]] = {}
    for arm in rows(results):
        if arm.group is not None:
            groups.setdefault(arm.group, []).append(arm)
    if not groups:
        return [build(rows(results), "nothing was run")]
    first = next(iter(groups))
    groups[first] = [arm for arm in rows(results) if arm.group in (first, None)]
    return [build(arms, group) for group, arms in groups.items()]


def figures(arms: Sequence[ArmResults], group: str) -> Table:
    """Every figure of every arm with its unit, its protocol and whether it is a bound."""
    lines = []
    for arm in arms:
        if arm.evaluate is None:
            lines.append([arm.label, *[NOT_RUN] * 10])
            continue
        lines += [_figure(arm, name, figure) for name, figure in _known(arm.evaluate["protocols"])]
    return Table(
        caption=f"Every figure on the test split ({group})",
        columns=[
            "Arm",
            "Protocol",
            "Is",
            "Nats per sentence",
            "PPL per word",
            "PPL per token",
            "Reveal term (nats per sentence)",
            "Timing term (nats per sentence)",
            "Monte Carlo s.e. (nats per sentence)",
            "Evaluated by",
            "Schedule of the forward process",
        ],
        rows=lines,
        numeric=frozenset(range(3, 9)),
        note="Values with their 95 % bootstrap interval over sentences. A token is an entry of the arm's "
        "tokenizer, so perplexities per token compare only between arms that share one.",
    )


def _known(protocols: dict[str, Any]) -> list[tuple[str, Any]]:
    order = {name: position for position, name in enumerate((*PROTOCOLS, *OWN))}
    return sorted(protocols.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))


def _figure(arm: ArmResults, name: str, figure: dict[str, Any]) -> list[str]:
    evaluate = arm.evaluate or {}
    kind = "exact" if name in EXACT else "upper bound" if figure["is_bound"] else "no bound"
    return [
        arm.label,
        name,
        kind,
        interval(figure["nats_per_sentence"]),
        interval(figure["perplexity_per_word"]),
        interval(figure["perplexity_per_token"]),
        number(figure.get("reveal_nats_per_sentence")),
        number(figure.get("timing_nats_per_sentence")),
        number(figure.get("monte_carlo_standard_error_nats")),
        steps(evaluate) if name not in EXACT else NOT_APPLICABLE,
        str(figure.get("schedule", NOT_APPLICABLE)),
    ]


def steps(evaluate: dict[str, Any]) -> str:
    """How the sum over steps was evaluated (T stands with the schedule); n/a for a system that has no time steps."""
    if evaluate.get("num_steps") is None:
        return NOT_APPLICABLE
    strata = f"{evaluate['strata']} strata" if evaluate.get("strata") else ""
    strided = f"K = {evaluate['eval_steps']}" if evaluate.get("eval_steps") else ""
    return "; ".join(each for each in (strided, strata) if each) or NOT_APPLICABLE


def tightened(arms: Sequence[ArmResults], group: str) -> Table:
    """What several importance-weighted trajectories take off the plain bound, on the same sentences and draws."""
    lines = [[arm.label, *_tightened(arm)] for arm in arms if (arm.evaluate or {}).get("importance")]
    return Table(
        caption=f"The bound, tightened by importance weights ({group})",
        columns=[
            "Arm",
            "Sentences",
            "Trajectories K",
            "One trajectory (nats per sentence)",
            "K trajectories (nats per sentence)",
            "Difference (nats per sentence)",
            "One: PPL per word",
            "K: PPL per word",
        ],
        rows=lines,
        numeric=frozenset(range(1, 8)),
        note="Both are upper bounds of the same model's -ln p(x_0); the average of one trajectory is the plain valid "
        "bound, by another estimator and on fewer sentences than above.",
    )


def _tightened(arm: ArmResults) -> list[str]:
    found = (arm.evaluate or {}).get("importance")
    if not found:
        return [NOT_RUN] * 7
    one, several = found["one_sample"], found["tightened"]
    return [
        number(found["sentences"]),
        number(found["samples"]),
        interval(one["nats_per_sentence"]),
        interval(several["nats_per_sentence"]),
        interval(found["difference_nats_per_sentence"]),
        perplexity(one | {"is_bound": True}),
        perplexity(several | {"is_bound": True}),
    ]


def paired(results: Results) -> Table:
    """Every arm against its baseline, figure by figure, over the same sentences."""
    lines = []
    for arm in rows(results):
        baseline = results.arm(arm.arm.baseline)
        if baseline is None:
            continue
        if arm.paired is None:
            lines.append([arm.label, baseline.label, *[NOT_RUN] * 3])
        elif arm.group != baseline.group:
            lines.append([arm.label, baseline.label, *["not compared: other device, dtype or threads"] * 3])
        else:
            for name, figure in _known(arm.paired["figures"]):
                difference = interval(figure["difference_nats_per_sentence"])
                ratio = interval(figure["perplexity_per_word_ratio"])
                lines.append([arm.label, baseline.label, name.replace("_", " "), difference, ratio])
    return Table(
        caption="Paired differences against the baseline, the same sentences and the same resamples",
        columns=[
            "Arm",
            "Baseline",
            "Figure",
            "Arm minus baseline (nats per sentence)",
            "Ratio of PPL per word",
        ],
        rows=lines,
        numeric=frozenset({3, 4}),
        note="A negative difference and a ratio below one are in the arm's favour. The interval is over "
        "sentences; how much a different training seed would move the figures is not in it.",
    )


def text_metrics(results: Results, arms: Sequence[ArmResults], group: str) -> Table:
    """Scores of the samples, real text last."""
    metrics = results.metrics or {}
    lines = [[arm.label, *_scores(arm.scores)] for arm in arms]
    if metrics.get("real_text"):
        lines.append(["Real text", *_scores(metrics["real_text"])])
    return Table(
        caption=f"Text metrics of the samples ({group})",
        columns=[
            "Arm",
            "BLEU-4 (higher: closer to real n-grams)",
            "Self-BLEU-4 (lower: more diverse)",
            "distinct-1",
            "distinct-2",
            "Entropy of words (nats)",
            "Mean words",
            "Samples in each set",
        ],
        rows=lines,
        numeric=frozenset(range(1, 8)),
    )


def _scores(scores: dict[str, Any] | None) -> list[str]:
    if scores is None:
        return [NOT_RUN] * 7
    plain = ("distinct_1", "distinct_2", "token_entropy_nats", "mean_words", "samples")
    return [
        interval(scores["bleu4"]),
        interval(scores["self_bleu4"]),
        *(number(scores.get(key)) for key in plain),
    ]


def key_values(caption: str, columns: tuple[str, str], values: dict[str, Any]) -> Table:
    """A mapping as a table of two columns, in its own order."""
    lines = [[key, setting(value)] for key, value in values.items()]
    return Table(caption, list(columns), lines, numeric=frozenset({1}))
