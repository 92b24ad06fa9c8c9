"""The report as a document: which results stand where, under which words."""

from __future__ import annotations

from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from diffusionbert.config import Params
from diffusionbert.report import audit, findings, plots, prose, tables
from diffusionbert.report.document import (
    NOT_RUN,
    Block,
    Bullets,
    Code,
    Document,
    Figure,
    Section,
    Table,
    Text,
)
from diffusionbert.report.formats import number, setting
from diffusionbert.report.paper import CAVEATS, PERPLEXITY_UNIT, PERPLEXITY_UNIT_SOURCE, SOURCE
from diffusionbert.report.results import ArmResults, Results, Values


def report(results: Results) -> Document:
    """report.html and report.md: byte for byte the same for the same results."""
    sections = [
        Section("table-2", "Table 2: perplexity, BLEU, Self-BLEU", _table_2(results)),
        Section("protocols", "Three protocols, one of them a bound", _protocols(results)),
        Section("audit", "The audit: sources of known entropy", audit.blocks(results)),
        Section("order", "The order question", _order(results)),
        Section("paired", "Against the baselines", _paired(results)),
        Section("curves", "Training and validation", _curves(results)),
        Section("text", "Text metrics", _text(results)),
        Section("samples", "Samples", _samples(results)),
        Section("trajectory", "A denoising trajectory", _trajectories(results)),
        Section("corpus", "Corpus, information and spindle", _corpus(results)),
        Section("settings", "Settings and key", _settings(results)),
    ]
    title = results.params.report.title
    return Document(title, findings.summary(results), sections, [("timings", "Timings and hardware")])


def _texts(paragraphs: list[str]) -> list[Block]:
    return [Text(paragraph) for paragraph in paragraphs]


def _figure(caption: str, svg: str | None, alt: str) -> list[Block]:
    return [Text(f"{caption}: {NOT_RUN}.")] if svg is None else [Figure(caption, svg, alt)]


def _table_2(results: Results) -> list[Block]:
    unit = f"The published perplexities are {PERPLEXITY_UNIT} (according to {PERPLEXITY_UNIT_SOURCE})."
    return [
        *_texts(prose.UNITS),
        *tables.per_group(results, lambda arms, group: tables.table_2(results, arms, group)),
        Text(f"To know about the published numbers ({SOURCE}): {unit}"),
        Bullets(list(CAVEATS)),
    ]


def _protocols(results: Results) -> list[Block]:
    drawing = plots.protocols(results.arms) if _one_group(results) else None
    caption = "Perplexity per word under each protocol; filled marks are bounds or exact, hollow ones are neither"
    return [
        *_texts(prose.PROTOCOLS),
        Bullets(prose.PROTOCOL_LIST),
        *_figure(caption, drawing, "One row an arm, one mark a protocol, with 95 % intervals"),
        *tables.per_group(results, tables.figures),
        *_texts(prose.NOT_BOUNDS),
        *_tightened(results),
    ]


def _tightened(results: Results) -> list[Block]:
    if not any((arm.evaluate or {}).get("importance") for arm in results.arms):
        return []
    return [*_texts(prose.TIGHTENED), *tables.per_group(results, tables.tightened)]


def _one_group(results: Results) -> bool:
    """Arms of several devices are not drawn into one picture."""
    return len({arm.group for arm in results.arms if arm.group}) == 1


def _order(results: Results) -> list[Block]:
    return [*_texts(prose.ORDER), *tables.per_group(results, tables.orders)]


def _paired(results: Results) -> list[Block]:
    table = tables.paired(results)
    return [*_texts(prose.PAIRS), table if table.rows else Text("No arm names a baseline.")]


def _curves(results: Results) -> list[Block]:
    loss = "Training loss against the step"
    valid = "Bound on the valid split against the step"
    rows = [_training(arm) for arm in results.arms]
    columns = [
        "Arm",
        "Steps",
        "Tokens seen",
        "Parameters",
        "Last loss (nats per token)",
        "Valid (nats per sentence)",
    ]
    return [
        *_figure(loss, plots.loss_curves(results.arms), "One line an arm, nats per token"),
        *_figure(valid, plots.validation_curves(results.arms), "One line an arm, nats per sentence"),
        Table("What was trained", columns, rows, frozenset(range(1, 6)), _objectives(results)),
    ]


def _objectives(results: Results) -> str:
    objectives = {str(arm.arm.settings["objective"]) for arm in results.arms if "objective" in arm.arm.settings}
    if len(objectives) < 2:
        return ""
    named = ", ".join(sorted(objectives))
    return f"An arm's loss and validation figures are its own objective's ({named}); unlike ones do not compare."


def _training(arm: ArmResults) -> list[str]:
    keys = ("steps", "tokens_seen", "parameters", "loss_nats_per_token", "validation_nats_per_sentence")
    return [arm.label, *(NOT_RUN if arm.train is None else number(arm.train.get(key)) for key in keys)]


def _text(results: Results) -> list[Block]:
    signatures = (results.metrics or {}).get("signature", {})
    lines = [f"`{each['text']}`: {each['note']}" for _, each in sorted(signatures.items())]
    told: list[Block] = [Text("Signatures of the scores:"), Bullets(lines)] if lines else []
    return [
        *_texts(prose.TEXT_METRICS),
        *tables.per_group(results, lambda arms, group: tables.text_metrics(results, arms, group)),
        *told,
    ]


def _samples(results: Results) -> list[Block]:
    """The same numbers and seeds of every arm side by side."""
    blocks: list[Block] = []
    for index in range(results.params.report.num_samples):
        rows = [[arm.label, _sample(arm, index)] for arm in results.arms]
        if all(row[1] == NOT_RUN for row in rows):
            break
        seeds = {str(arm.samples[index]["seed"]) for arm in results.arms if arm.samples and index < len(arm.samples)}
        blocks.append(Table(f"Sample {index}, seed {', '.join(sorted(seeds))}", ["Arm", "Text"], rows))
    settings = next((arm.sample for arm in results.arms if arm.sample), None)
    return [_sampling(settings), *blocks] if blocks else [Text(f"Samples: {NOT_RUN}.")]


def _sample(arm: ArmResults, index: int) -> str:
    if arm.samples is None:
        return NOT_RUN
    return str(arm.samples[index]["text"]) if index < len(arm.samples) else "no such sample"


def _sampling(settings: Values | None) -> Block:
    keys = ("sampler", "length", "num_steps", "temperature", "top_k", "top_p")
    told = "; ".join(f"{key.replace('_', ' ')} {setting((settings or {}).get(key))}" for key in keys)
    left = (settings or {}).get("mask_left")
    unfinished = f" {left} tokens of the samples are still [MASK]." if left else ""
    return Text(f"The first samples of every arm, not chosen: {told}.{unfinished}")


def _trajectories(results: Results) -> list[Block]:
    blocks: list[Block] = []
    for arm in results.arms:
        states = (arm.sample or {}).get("trajectory")
        if states:
            rows = [[number(state["t"]), str(state["text"])] for state in states]
            blocks.append(Table(arm.label, ["t", "State"], rows, frozenset({0})))
    return blocks or [Text(f"Trajectory: {NOT_RUN}.")]


def _corpus(results: Results) -> list[Block]:
    blocks: list[Block] = [Text(f"Corpus: {NOT_RUN}.")] if results.corpus is None else _corpus_tables(results.corpus)
    for tokenizer, values in results.tokenize.items():
        blocks.append(_splits(f"Tokens, tokenizer {tokenizer}", values))
    for tokenizer, values in results.information.items():
        blocks.append(tables.key_values(f"Information, tokenizer {tokenizer}", ("What", "Value"), _plain(values)))
        drawing = plots.zipf(results.zipf[tokenizer]) if tokenizer in results.zipf else None
        blocks += _figure(f"Token counts by rank, tokenizer {tokenizer}", drawing, "Both axes logarithmic")
    for tokenizer, values in results.spindle.items():
        blocks.append(tables.key_values(f"Spindle, tokenizer {tokenizer}", ("What", "Value"), _plain(values)))
        drawing = plots.spindle_curves(results.curves[tokenizer]) if tokenizer in results.curves else None
        example = results.params.spindle.example
        alt = "One curve a token, falling from one to zero; informative tokens fall first"
        blocks += _figure(f"The spindle of “{example}” (the paper's Fig. 2), tokenizer {tokenizer}", drawing, alt)
    return blocks


def _corpus_tables(corpus: Values) -> list[Block]:
    dropped = corpus.get("dropped") or {}
    blocks: list[Block] = [_splits(f"Corpus ({corpus['source']})", corpus)]
    if dropped:
        reasons = {key.replace("_", " "): dropped[key] for key in sorted(dropped)}
        blocks.append(tables.key_values("Sentences dropped in cleaning", ("Reason", "Sentences"), reasons))
    return blocks


def _splits(caption: str, values: Values) -> Table:
    """The figures of `values` that are given by split, one row each."""
    splits = ["train", "valid", "test"]
    rows = [
        [key.replace("_", " "), *(number(by_split.get(split)) for split in splits)]
        for key, by_split in sorted(values.items())
        if isinstance(by_split, dict) and set(by_split) <= set(splits) and _numbers(by_split)
    ]
    return Table(caption, ["", *splits], rows, frozenset({1, 2, 3}))


def _numbers(values: Values) -> bool:
    return bool(values) and all(isinstance(value, (int, float)) for value in values.values())


def _plain(values: Values) -> Values:
    return {
        key.replace("_", " "): value for key, value in sorted(values.items()) if not isinstance(value, (dict, list))
    }


def _settings(results: Results) -> list[Block]:
    return [
        Text(f"Key of these results (sha256 over their outputs in dvc.lock): `{results.key}`"),
        Code(as_yaml(results.params)),
    ]


def as_yaml(params: Params) -> str:
    text = StringIO()
    yaml = YAML()
    yaml.width = 100
    yaml.dump(params.model_dump(mode="json", exclude_defaults=False), text)
    return str(text.getvalue())
