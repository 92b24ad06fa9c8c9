"""Results to tables. One table never mixes devices, dtypes or numbers of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diffusionbert.report.document import NOT_APPLICABLE, NOT_RUN, Block, Table
from diffusionbert.report.formats import interval, number, perplexity, setting
from diffusionbert.report.paper import CORPUS, PERPLEXITY_UNIT, SOURCE, TABLE_2, Design, Row
from diffusionbert.report.results import ArmResults, Results

PROTOCOLS = ("valid", "oracle", "released")
OWN = ("exact", "bound")  # the one figure of a row that is no masked diffusion
ELSEWHERE = "in another table"


def per_group(results: Results, build: Callable[[Sequence[ArmResults], str], Table]) -> list[Block]:
    """One table for every device, dtype and number of threads; arms that were not run join the first."""
    groups: dict[str, list[ArmResults]] = {}
    for arm in results.arms:
        if arm.group is not None:
            groups.setdefault(arm.group, []).append(arm)
    if not groups:
        return [build(results.arms, "nothing was run")]
    first = next(iter(groups))
    groups[first] = [arm for arm in results.arms if arm.group in (first, None)]
    return [build(arms, group) for group, arms in groups.items()]


def table_2(results: Results, arms: Sequence[ArmResults], group: str) -> Table:
    """Every row of the paper's Table 2 with our arms of the same design beside it, then arms it has no
    row for.
    """
    rows = []
    for row in TABLE_2:
        matching = [arm for arm in arms if arm.design == row.design]
        elsewhere = any(arm.design == row.design for arm in results.arms)
        rows += [_row_2(row, arm) for arm in matching] or [_row_2(row, None, ELSEWHERE if elsewhere else NOT_RUN)]
    designs = {row.design for row in TABLE_2}
    rows += [_row_2(None, arm) for arm in arms if arm.design not in designs]
    return Table(
        caption=f"Table 2 of the paper ({SOURCE}, {CORPUS}) and ours ({group})",
        columns=[
            "Method (paper)",
            "Our arm",
            "Init, schedule, time design",
            f"Paper: PPL {PERPLEXITY_UNIT}",
            *[f"Ours, {name}: PPL per word" for name in PROTOCOLS],
            "Ours, own figure: PPL per word",
            "Paper: BLEU",
            "Ours: BLEU-4",
            "Paper: Self-BLEU",
            "Ours: Self-BLEU-4",
        ],
        rows=rows,
        numeric=frozenset(range(3, 12)),
        note="≤ marks an upper bound, = an exact value, 'no bound' a figure that is neither. The paper's "
        f"numbers are single runs on {CORPUS} without intervals; ours are on the corpus of this profile, so "
        "levels do not compare across the columns, only ratios and orders do. 'Own figure' is for rows that "
        "are no masked diffusion.",
    )


def _row_2(row: Row | None, arm: ArmResults | None, missing: str = NOT_RUN) -> list[str]:
    design = row.design if row else arm.design if arm else None
    assert design is not None, "a row of Table 2 has a published side or ours"
    ours = [f"{missing}"] * 4 if arm is None else [_protocol(arm, name) for name in PROTOCOLS] + [_own(arm)]
    scores = {} if arm is None else (arm.scores or {})
    blank = missing if arm is None else NOT_RUN
    return [
        row.method if row else "no row",
        arm.label if arm else missing,
        _design(design),
        f"{row.perplexity_per_word:.2f}" if row else NOT_APPLICABLE,
        *ours,
        f"{row.bleu4:.4f}" if row else NOT_APPLICABLE,
        interval(scores["bleu4"]) if scores else blank,
        f"{row.self_bleu4:.4f}" if row else NOT_APPLICABLE,
        interval(scores["self_bleu4"]) if scores else blank,
    ]


def _design(design: Design) -> str:
    time = None if design.time is None else design.time.upper()
    return ", ".join(part for part in (design.init, design.schedule, time) if part is not None)


def _protocol(arm: ArmResults, name: str, unit: str = "per_word") -> str:
    return NOT_RUN if arm.evaluate is None else perplexity(arm.evaluate["protocols"].get(name), unit)


def _own(arm: ArmResults) -> str:
    if arm.evaluate is None:
        return NOT_RUN
    held = arm.evaluate["protocols"]
    own = next((name for name in OWN if name in held), None)
    return NOT_APPLICABLE if own is None else perplexity(held[own], exact=own == "exact")


def figures(arms: Sequence[ArmResults], group: str) -> Table:
    """Every figure of every arm with its unit, its protocol and whether it is a bound."""
    rows = []
    for arm in arms:
        if arm.evaluate is None:
            rows.append([arm.label, *[NOT_RUN] * 10])
            continue
        rows += [_figure(arm, name, figure) for name, figure in _known(arm.evaluate["protocols"])]
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
            "T; evaluation steps or strata",
            "Schedule of the forward process",
        ],
        rows=rows,
        numeric=frozenset(range(3, 9)),
        note="Values with their 95 % bootstrap interval over sentences. A token is an entry of the arm's "
        "tokenizer, so perplexities per token compare only between arms that share one.",
    )


def _known(protocols: dict[str, Any]) -> list[tuple[str, Any]]:
    order = {name: position for position, name in enumerate((*PROTOCOLS, *OWN))}
    return sorted(protocols.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))


def _figure(arm: ArmResults, name: str, figure: dict[str, Any]) -> list[str]:
    evaluate = arm.evaluate or {}
    kind = "exact" if name == "exact" else "upper bound" if figure["is_bound"] else "no bound"
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
        steps(evaluate) if name != "exact" else NOT_APPLICABLE,
        str(figure.get("schedule", NOT_APPLICABLE)),
    ]


def steps(evaluate: dict[str, Any]) -> str:
    """T and how it was evaluated; n/a for a system that has no time steps."""
    if evaluate.get("num_steps") is None:
        return NOT_APPLICABLE
    if evaluate.get("eval_steps"):
        return f"T = {evaluate['num_steps']}; K = {evaluate['eval_steps']}"
    if evaluate.get("time") == "continuous":
        return f"T = infinity; {evaluate.get('strata', NOT_APPLICABLE)} strata"
    return f"T = {evaluate['num_steps']}; {evaluate.get('strata', NOT_APPLICABLE)} strata"


def tightened(arms: Sequence[ArmResults], group: str) -> Table:
    """What several importance-weighted trajectories take off the plain bound, on the same sentences and draws."""
    rows = [[arm.label, *_tightened(arm)] for arm in arms]
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
        rows=rows,
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


def orders(arms: Sequence[ArmResults], group: str) -> Table:
    """Every arm scored `valid` under each order, without training it again."""
    names = sorted({name for arm in arms if arm.evaluate for name in arm.evaluate.get("orders", {})}, key=_by_lambda)
    others = [name for name in names if name != "linear"]
    rows = [[arm.label, *_order(arm, names, others)] for arm in arms]
    return Table(
        caption=f"The order question: PPL per word, protocol valid ({group})",
        columns=[
            "Arm",
            *[f"under {name.replace('_', ' ')}" for name in names],
            *[f"{_words(o)} / linear" for o in others],
        ],
        rows=rows,
        numeric=frozenset(range(1, 1 + len(names) + len(others))),
        note="The spindle here is the corpus-mean one of the given lambda. The last columns are ratios of "
        "the same arm's perplexities per word over the same sentences; below one the spindle order costs "
        "fewer nats.",
    )


def _order(arm: ArmResults, names: list[str], others: list[str]) -> list[str]:
    if arm.evaluate is None:
        return [NOT_RUN] * (len(names) + len(others))
    held = arm.evaluate.get("orders", {})
    effects = arm.orders or {}
    ratios = [effects.get(f"order_{other}", {}).get("perplexity_per_word_ratio") for other in others]
    return [perplexity(held.get(name)) for name in names] + [interval(ratio) for ratio in ratios]


def _words(order: str) -> str:
    return order.replace("_", " ")


def _by_lambda(order: str) -> tuple[float, str]:
    """`linear` first, then by the number at the end."""
    tail = order.rsplit("_", 1)[-1]
    return (float(tail) if tail.replace(".", "", 1).isdigit() else -1.0, order)


def paired(results: Results) -> Table:
    """Every arm against its baseline, figure by figure, over the same sentences."""
    rows = []
    for arm in results.arms:
        baseline = results.arm(arm.arm.baseline)
        if baseline is None:
            continue
        if arm.paired is None:
            rows.append([arm.label, baseline.label, *[NOT_RUN] * 3])
        elif arm.group != baseline.group:
            rows.append([arm.label, baseline.label, *["not compared: other device, dtype or threads"] * 3])
        else:
            for name, figure in _known(arm.paired["figures"]):
                difference = interval(figure["difference_nats_per_sentence"])
                ratio = interval(figure["perplexity_per_word_ratio"])
                rows.append([arm.label, baseline.label, name.replace("_", " "), difference, ratio])
    return Table(
        caption="Paired differences against the baseline, the same sentences and the same resamples",
        columns=[
            "Arm",
            "Baseline",
            "Figure",
            "Arm minus baseline (nats per sentence)",
            "Ratio of PPL per word",
        ],
        rows=rows,
        numeric=frozenset({3, 4}),
        note="A negative difference and a ratio below one are in the arm's favour. The interval is over "
        "sentences; how much a different training seed would move the figures is not in it.",
    )


def text_metrics(results: Results, arms: Sequence[ArmResults], group: str) -> Table:
    """Scores of the samples, real text last."""
    metrics = results.metrics or {}
    rows = [[arm.label, *_scores(arm.scores)] for arm in arms]
    if metrics.get("real_text"):
        rows.append(["Real text (ceiling)", *_scores(metrics["real_text"])])
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
        rows=rows,
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
    rows = [[key, setting(value)] for key, value in values.items()]
    return Table(caption, list(columns), rows, numeric=frozenset({1}))
