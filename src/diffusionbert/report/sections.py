"""The report as a document: which results stand where, under which words."""

from __future__ import annotations

from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from diffusionbert.config import Params
from diffusionbert.report import (
    audit,
    claim_page,
    conditional,
    conditional_prose,
    corpus_section,
    elsewhere,
    findings,
    frontier,
    frontier_plot,
    generative,
    order,
    plots,
    prose,
    sweep,
    table_2,
    table_3,
    tables,
    text_section,
    training_section,
)
from diffusionbert.report.document import NOT_RUN, Block, Bullets, Code, Document, Section, Text, figure_or_line, texts
from diffusionbert.report.evidence import rows
from diffusionbert.report.paper import CAVEATS, PERPLEXITY_UNIT, PERPLEXITY_UNIT_SOURCE, SOURCE
from diffusionbert.report.results import Results


def report(results: Results) -> Document:
    """report.html and report.md: byte for byte the same for the same results."""
    title = results.params.report.title
    return Document(
        title,
        findings.summary(results),
        _of_pairs(results) if results.is_conditional else _of_text(results),
        [("claims", "The claims, with what decided each"), ("timings", "Timings and hardware")],
    )


def _of_text(results: Results) -> list[Section]:
    return [
        Section("claims", "The paper's claims", claim_page.short(results)),
        Section("table-2", "Table 2: perplexity, BLEU, Self-BLEU", _table_2(results)),
        Section("protocols", "Three protocols, one of them a bound", _protocols(results)),
        Section("audit", "The audit: sources of known entropy", audit.blocks(results)),
        Section("order", "The order question", _order(results)),
        Section("paired", "Against the baselines", _paired(results)),
        Section("table-3", "Table 3: perplexity against sampling steps", _table_3(results)),
        Section("figure-3", "Fig. 3: BLEU against Self-BLEU", _frontier(results)),
        Section("figure-4", "Fig. 4: pretrained against random init", training_section.race(results)),
        Section("curves", "Training and validation", training_section.curves(results)),
        Section("text", "Text metrics", text_section.scores(results)),
        Section("generative", "Generative perplexity", generative.blocks(results)),
        Section("samples", "Samples", text_section.samples(results)),
        Section("trajectory", "Trajectories", text_section.trajectories(results)),
        Section("corpus", "Corpus, information and spindle", corpus_section.blocks(results)),
        *elsewhere.sections(results),
        Section("settings", "Settings and key", _settings(results)),
    ]


def _of_pairs(results: Results) -> list[Section]:
    """Of a corpus of pairs: what is generated has a reference of its own; the paper's tables are of another task."""
    return [
        Section("claims", "The claims on conditional generation", claim_page.short(results)),
        Section("conditional", "Conditional generation", conditional.blocks(results)),
        Section("samples", "Samples", conditional.samples(results)),
        Section(
            "protocols",
            "Three protocols, one of them a bound",
            [Text(conditional_prose.SENTENCE), *_protocols(results)],
        ),
        Section("order", "The order question", _order(results)),
        Section("paired", "Against the baselines", _paired(results)),
        Section("curves", "Training and validation", training_section.curves(results)),
        Section("trajectory", "Trajectories", text_section.trajectories(results)),
        Section("corpus", "Corpus, information and spindle", corpus_section.blocks(results)),
        Section("settings", "Settings and key", _settings(results)),
    ]


def _table_2(results: Results) -> list[Block]:
    unit = f"The published perplexities are {PERPLEXITY_UNIT} (according to {PERPLEXITY_UNIT_SOURCE})."
    return [
        *texts(prose.UNITS),
        *tables.per_group(results, lambda arms, group: table_2.table_2(results, arms, group)),
        *([] if (seeds := table_2.over_seeds(results)) is None else [seeds]),
        Text(f"To know about the published numbers ({SOURCE}): {unit}"),
        Bullets(list(CAVEATS)),
    ]


def _protocols(results: Results) -> list[Block]:
    drawing = plots.protocols(rows(results)) if _one_group(results) else None
    caption = "Perplexity per word under each protocol; filled marks are bounds or exact, hollow ones are neither"
    return [
        *texts(prose.PROTOCOLS),
        Bullets(prose.PROTOCOL_LIST),
        *figure_or_line(caption, drawing, "One row an arm, one mark a protocol, with 95 % intervals"),
        *tables.per_group(results, tables.figures),
        *texts(prose.NOT_BOUNDS),
        *_tightened(results),
    ]


def _tightened(results: Results) -> list[Block]:
    if not any((arm.evaluate or {}).get("importance") for arm in results.arms):
        return []
    return [*texts(prose.TIGHTENED), *tables.per_group(results, tables.tightened)]


def _one_group(results: Results) -> bool:
    """Arms of several devices are not drawn into one picture."""
    return len({arm.group for arm in results.arms if arm.group}) == 1


def _table_3(results: Results) -> list[Block]:
    if not any((arm.evaluate or {}).get("steps") for arm in rows(results)):
        return [Text(f"Perplexity against steps: {NOT_RUN}.")]
    return [*tables.per_group(results, table_3.perplexities), Text(prose.SECONDS)]


def _frontier(results: Results) -> list[Block]:
    drawn = frontier.drawn(results)
    real = (results.metrics or {}).get("frontier_real_text")
    groups = {arm.group for arm, _ in drawn}
    lines = [(arm.label, points) for arm, points in drawn]
    drawing = frontier_plot.frontier(lines, real) if len(groups) == 1 else None
    caption = "BLEU-4 against Self-BLEU-4 over temperatures and top-k; up and to the left is better"
    alt = "One line a system with 95 % intervals both ways; real text is a star"
    table: list[Block] = [frontier.table(results)] if drawn else []
    return [*texts(prose.FRONTIER), *figure_or_line(caption, drawing, alt), *table]


def _order(results: Results) -> list[Block]:
    swept = tables.per_group(results, sweep.table) if sweep.sweeps(rows(results)) else []
    return [*texts(prose.ORDER), *tables.per_group(results, order.orders), *swept]


def _paired(results: Results) -> list[Block]:
    table = tables.paired(results)
    return [*texts(prose.PAIRS), table if table.rows else Text("No arm names a baseline.")]


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
