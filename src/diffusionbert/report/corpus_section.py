"""The section on the corpus: splits, tokens, information and the spindle's shape."""

from __future__ import annotations

from diffusionbert.report import conditional, plots, tables
from diffusionbert.report.document import NOT_RUN, Block, Table, Text, figure_or_line
from diffusionbert.report.formats import number
from diffusionbert.report.results import Results, Values


def blocks(results: Results) -> list[Block]:
    told = conditional.data(results)
    told += [Text(f"Corpus: {NOT_RUN}.")] if results.corpus is None else _corpus_tables(results.corpus)
    for tokenizer, values in results.tokenize.items():
        told.append(_splits(f"Tokens, tokenizer {tokenizer}", values))
    for tokenizer, values in results.information.items():
        told.append(tables.key_values(f"Information, tokenizer {tokenizer}", ("What", "Value"), _plain(values)))
        drawing = plots.zipf(results.zipf[tokenizer]) if tokenizer in results.zipf else None
        told += figure_or_line(f"Token counts by rank, tokenizer {tokenizer}", drawing, "Both axes logarithmic")
    for tokenizer, values in results.spindle.items():
        told.append(tables.key_values(f"Spindle, tokenizer {tokenizer}", ("What", "Value"), _plain(values)))
        drawing = plots.spindle_curves(results.curves[tokenizer]) if tokenizer in results.curves else None
        example = results.params.spindle.example
        alt = "One curve a token, falling from one to zero; informative tokens fall first"
        told += figure_or_line(f"The spindle of “{example}” (the paper's Fig. 2), tokenizer {tokenizer}", drawing, alt)
    return told


def _corpus_tables(corpus: Values) -> list[Block]:
    dropped = corpus.get("dropped") or {}
    told: list[Block] = [_splits(f"Corpus ({corpus['source']})", corpus)]
    if books := corpus.get("held_out_books"):
        lines = [[split, ", ".join(books[split])] for split in ("valid", "test") if split in books]
        told.append(Table("Books held out; all others are train", ["Split", "Books"], lines))
    if dropped:
        reasons = {key.replace("_", " "): dropped[key] for key in sorted(dropped)}
        pairs = corpus["source"] == "pairs"  # which are kept as they are, but for those that cannot be used
        caption, counted = ("Pairs left out", "Pairs") if pairs else ("Sentences dropped in cleaning", "Sentences")
        told.append(tables.key_values(caption, ("Reason", counted), reasons))
    return told


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
