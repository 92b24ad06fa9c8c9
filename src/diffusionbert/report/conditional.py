"""Conditional generation: our table, as we count and as DiffuSeq does, and the published ones beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffusionbert.report import conditional_prose as prose
from diffusionbert.report import near_copies, tables
from diffusionbert.report.conditional_systems import beginnings, init
from diffusionbert.report.document import NOT_APPLICABLE, NOT_RUN, Block, Bullets, Table, Text, texts
from diffusionbert.report.evidence import OWN, rows
from diffusionbert.report.formats import interval, number, setting
from diffusionbert.report.paper_pairs import CAVEATS, QUOTED, SOURCE, TABLE, PairRow
from diffusionbert.report.results import ArmResults, Results, Values

BASELINES = {"copy": "Copy of the source", "nearest": "Nearest neighbour in train"}
REFERENCES = "The references themselves"
EMPTY = "(empty)"
QUALITY = ("bleu", "rouge_l")
DIVERSITY = ("self_bleu", "div_4")
THEIRS = ("bleu", "rouge_l", "dist_1", "self_bleu", "div_4")
NAMES = {"bleu": "BLEU", "rouge_l": "ROUGE-L", "self_bleu": "Self-BLEU", "div_4": "div-4", "dist_1": "dist-1"}


def blocks(results: Results) -> list[Block]:
    """The section; `results` are those of a corpus of pairs."""
    held = results.pairs
    told: list[Block] = [*texts(prose.INTRODUCTION), *data(results), *_length(results)]
    if not held or not held.get("arms"):
        return [*told, Text(f"Scores of pairs: {NOT_RUN}."), *published()]
    task = f"{held['task']}, {number(held['sources'])} sources, {number(held['candidates'])} candidates of each"
    begins = beginnings(results)
    signatures = [f"`{each['text']}`: {each['note']}" for _, each in sorted(held["signature"].items())]
    return [
        *told,
        *tables.per_group(results, lambda arms, group: _ours(held, arms, f"{task}; {group}", begins)),
        *tables.per_group(results, lambda arms, group: _more(held, arms, f"{task}; {group}")),
        *near_copies.blocks(results, held),
        *tables.per_group(results, lambda arms, group: _as_diffuseq(held, arms, f"{task}; {group}")),
        _contrasts(results, held),
        *published(),
        Text("Signatures of the scores:"),
        Bullets(signatures),
    ]


def data(results: Results) -> list[Block]:
    """What the pairs are, in words; nothing of a corpus of another kind."""
    pairs = results.params.corpus.pairs
    return [] if pairs is None else [Text(prose.TASKS[pairs.task])]


def _length(results: Results) -> list[Block]:
    length = results.params.tokenize.target_length
    return [] if length is None else [Text(prose.LENGTHS[length])]


def _ours(held: Values, arms: Sequence[ArmResults], group: str, begins: str) -> Table:
    under = held.get("bertscore")
    columns = ["System", "Init", "Steps", "Nats per target"]
    columns += ["BLEU", "ROUGE-L", *([f"BERTScore ({under})"] if under else [])]
    columns += ["dist-1", "Self-BLEU", "div-4"]
    keys = [*QUALITY, *(["bertscore"] if under else []), "distinct_1", *DIVERSITY]
    lines = [[arm.label, init(arm), _steps(arm), _nats(arm), *_cells(held["arms"].get(arm.name), keys)] for arm in arms]
    lines += [[label, *[NOT_APPLICABLE] * 3, *_cells(scores, keys)] for label, scores in _beside(held)]
    numeric = frozenset(range(2, len(columns)))
    note = f"{prose.OURS_NOTE} {begins}".rstrip()
    return Table(f"Conditional generation, as we count ({group})", columns, lines, numeric, note)


def _more(held: Values, arms: Sequence[ArmResults], group: str) -> Table:
    """What the scores are to be read with."""
    columns = ["System", "Median BLEU", "BLEU without near copies", "BLEU of all candidates", "Corpus BLEU"]
    columns += ["Mean words", "Empty texts", "Candidates", "Empty candidates", "Sources without two texts"]
    columns += ["Sources without a 4-gram", "Chosen otherwise by DiffuSeq's rule"]
    keys = ["bleu_of_all", "corpus_bleu", "mean_words", "empty", "num_candidates", "empty_candidates"]
    keys += ["without_two_texts", "without_four_grams", "chosen_otherwise_by_diffuseq"]
    systems = [(arm.label, arm.name, held["arms"].get(arm.name)) for arm in arms]
    systems += [(label, name, held["baselines"].get(name)) for name, label in BASELINES.items()]
    systems.append((REFERENCES, "", held.get("references")))
    lines = [
        [label, *_cells(scores, ["median_bleu"]), near_copies.bleu_without(held, name), *_cells(scores, keys)]
        for label, name, scores in systems
    ]
    numeric = frozenset(range(1, len(columns)))
    return Table(f"What to read the scores with ({group})", columns, lines, numeric, prose.MORE_NOTE)


def brief(results: Results) -> Table:
    """The few columns that a README has room for."""
    held = results.pairs or {}
    keys = (*QUALITY, *DIVERSITY)
    lines = [
        [arm.label, init(arm), _nats(arm), *_cells(_of_most(held, held["arms"].get(arm.name)), keys)]
        for arm in rows(results)
    ]
    lines += [
        [label, *[NOT_APPLICABLE] * 2, *_cells(held["baselines"].get(name), keys)] for name, label in BASELINES.items()
    ]
    return Table(
        "", ["System", "Init", "Nats per target", *(NAMES[key] for key in keys)], lines, frozenset(range(2, 7))
    )


def _of_most(held: Values, scores: Values | None) -> Values | None:
    """Without the diversity that most sources have none of: where nothing says so, a mean over the few misleads."""
    left_out = {"self_bleu": "without_two_texts", "div_4": "without_four_grams"}
    few = [score for score, count in left_out.items() if 2 * (scores or {}).get(count, 0) > held["sources"]]
    return scores and {key: value for key, value in scores.items() if key not in few}


def _as_diffuseq(held: Values, arms: Sequence[ArmResults], group: str) -> Table:
    keys = [f"diffuseq_{name}" for name in THEIRS]
    lines = [[arm.label, *_cells(held["arms"].get(arm.name), keys)] for arm in arms]
    lines += [[label, *_cells(scores, keys)] for label, scores in _beside(held)]
    columns = ["System", *(NAMES[name] for name in THEIRS)]
    numeric = frozenset(range(1, len(columns)))
    caption = f"The same texts as DiffuSeq's script counts ({group})"
    return Table(caption, columns, lines, numeric, prose.DIFFUSEQ_NOTE)


def _beside(held: Values) -> list[tuple[str, Values | None]]:
    """The rows that are no system, the references last."""
    baselines = [(label, held["baselines"].get(name)) for name, label in BASELINES.items()]
    return [*baselines, (REFERENCES, held.get("references"))]


def _steps(arm: ArmResults) -> str:
    """In how many steps the candidates were written: a system's own number, or the one that all others share."""
    return NOT_RUN if arm.sample is None else number(arm.sample["num_steps"])


def _nats(arm: ArmResults) -> str:
    """Each system's own figure: a bound, or the exact value of a left-to-right model."""
    if arm.evaluate is None:
        return NOT_RUN
    protocols = arm.evaluate["protocols"]
    name = next((name for name in OWN if name in protocols), None)
    if name is None:
        return NOT_APPLICABLE
    return f"{'=' if name == 'exact' else '≤'} {interval(protocols[name]['nats_per_sentence'])}"


def _cells(scores: Values | None, keys: Sequence[str]) -> list[str]:
    return [NOT_RUN if scores is None else _cell(scores.get(key)) for key in keys]


def _cell(value: Any) -> str:
    return interval(value) if isinstance(value, dict) else number(value)


def _contrasts(results: Results, held: Values) -> Table:
    labels = {arm.name: arm.label for arm in results.arms} | BASELINES
    keys = (*QUALITY, *DIVERSITY)
    lines = [
        [labels[each["one"]], labels[each["other"]], *(interval(each.get(key)) for key in keys)]
        for each in held["contrasts"]
        if each["one"] in labels and each["other"] in labels
    ]
    columns = ["System", "Against", *(NAMES[key] for key in keys)]
    caption = "Every two systems on the same sources, as we count"
    return Table(caption, columns, lines, frozenset(range(2, len(columns))), prose.CONTRASTS_NOTE)


def published() -> list[Block]:
    """DiffuSeq's tables, one a data set, and what to know of them."""
    columns = ["Method", "BLEU", "ROUGE-L", "BERTScore", "dist-1", "Self-BLEU", "div-4", "Source"]
    tasks = list(dict.fromkeys(row.task for row in TABLE))
    each: list[Block] = [
        Table(
            f"Published: {task}",
            columns,
            [_published(row) for row in TABLE if row.task == task],
            frozenset(range(1, 7)),
            prose.PUBLISHED_NOTE,
        )
        for task in tasks
    ]
    return [Text(f"What is published ({SOURCE}; one number after {QUOTED}):"), *each, Bullets(list(CAVEATS))]


def _published(row: PairRow) -> list[str]:
    values = (row.bleu, row.rouge_l, row.bertscore, row.dist_1, row.self_bleu, row.div_4)
    return [row.method, *(number(value) for value in values), row.source.split(",")[0]]


def samples(results: Results) -> list[Block]:
    """The first sources, not chosen, with their references and what every system's candidates chose."""
    held = results.pairs
    if not held or not held.get("examples"):
        return [Text(f"Samples: {NOT_RUN}.")]
    settings = results.params.sample
    told = "; ".join(
        f"{key.replace('_', ' ')} {setting(getattr(settings, key))}"
        for key in ("sampler", "temperature", "top_k", "top_p")
    )
    labels = {arm.name: arm.label for arm in rows(results)} | BASELINES
    steps = "; ".join(f"{arm.label} {_steps(arm)}" for arm in rows(results))
    found: list[Block] = [Text(f"The first sources of the test split, not chosen: {told}. Steps: {steps}.")]
    for index, each in enumerate(held["examples"][: results.params.report.num_samples]):
        lines = [["Source", each["source"]], ["Reference", each["reference"]]]
        lines += [[label, _text(each["answers"].get(name))] for name, label in labels.items() if name != "copy"]
        found.append(Table(f"Source {index}", ["Text of", "Text"], lines))
    return found


def _text(answer: str | None) -> str:
    return NOT_RUN if answer is None else answer or EMPTY


def finding(results: Results) -> str:
    """One line of the summary: the best quality and the most diverse candidates, beside the baselines."""
    held = results.pairs or {}
    scored = [(arm, held["arms"][arm.name]) for arm in rows(results) if arm.name in held.get("arms", {})]
    if not scored:
        return "Nothing that was generated is scored yet."
    best, scores = max(scored, key=lambda item: float(item[1]["bleu"]["value"]))
    copied, nearest = (held["baselines"][name] for name in ("copy", "nearest"))
    told = (
        f"**Conditional generation**: the highest BLEU is that of “{best.label}”, {interval(scores['bleu'])} "
        f"(copying the source: {interval(copied['bleu'])}; the nearest neighbour: {interval(nearest['bleu'])})"
    )
    few = held["sources"] / 2  # a mean over fewer sources is of those that happen to have a 4-gram
    varied = [(arm, each) for arm, each in scored if each.get("div_4") and each["without_four_grams"] < few]
    if not varied:
        return f"{told}."
    most, scores = max(varied, key=lambda item: float(item[1]["div_4"]["value"]))
    return f"{told}; the most varied candidates are those of “{most.label}”, div-4 {interval(scores['div_4'])}."
