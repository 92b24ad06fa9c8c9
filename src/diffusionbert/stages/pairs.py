"""pairs: what the arms generate of the sources of a corpus of pairs, scored; two baselines that nobody trained beside.

The baselines: the source itself, and the target of the train source that is nearest to it. Of a corpus that has no
pairs there is nothing to score, and the results say so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from diffusionbert.arms.places import place_of
from diffusionbert.config import Metrics, Params
from diffusionbert.corpus.text import check_text, read_pairs
from diffusionbert.denoisers.contextual import ContextualEncoder
from diffusionbert.files import write_json
from diffusionbert.metrics import pair_contrasts
from diffusionbert.metrics.bertscore import bertscore
from diffusionbert.metrics.candidates import Rule
from diffusionbert.metrics.near_copies import near_copies
from diffusionbert.metrics.pair_signatures import signatures
from diffusionbert.metrics.pairs import SCORES, Answers, Scored, score, summary
from diffusionbert.metrics.retrieval import Index
from diffusionbert.progress import track
from diffusionbert.stages import shell
from diffusionbert.stages.compute import Machine
from diffusionbert.stages.inputs import Candidates, groups_of, read_candidates
from diffusionbert.tables import write_table
from diffusionbert.words import split_words

COPY, NEAREST = "copy", "nearest"
NUM_EXAMPLES = 20
TABLE, RESULT = "sources.parquet", "metrics.json"


def _body(context: shell.Context) -> None:
    params, out = context.params, context.paths["out"]
    if params.corpus.source != "pairs":
        write_table(out / TABLE, _table({}, {}))
        write_json(out / RESULT, {"task": None, "arms": {}, "baselines": {}})
        return
    mask_is_told = params.sample.sampler == "released"  # the release's may leave [MASK], which sample counts
    files = {arm: context.paths["sample"] / arm / "candidates.jsonl" for arm in params.arms}
    answers = {arm: read_candidates(file, mask_is_told) for arm, file in files.items()}
    pair_contrasts.same_sources({str(files[arm]): held.asked for arm, held in answers.items()})
    asked = next(iter(answers.values()))
    num_candidates = max(len(each.texts[0]) for each in answers.values())
    answers |= baselines(context.paths["corpus"] / "text", asked, num_candidates)
    rule: Rule = "released" if params.pairs.as_released else "mbr"
    scored = {name: _scored(held, rule, name) for name, held in track(list(answers.items()), label="scores of pairs")}
    if params.pairs.bertscore is not None:
        scored = _with_bertscore(scored, answers, params)
    write_table(out / TABLE, _table(scored, answers))
    write_json(out / RESULT, _told(params, scored, answers, rule))
    context.journal.metrics({f"{arm}_bleu": float(scored[arm].columns["bleu"].mean()) for arm in params.arms})


def baselines(text: Path, asked: Candidates, num_candidates: int) -> dict[str, Candidates]:
    """The sources themselves, and the targets of the train sources nearest to each, the nearest first."""
    check_text(text, ["train"])
    targets: list[str] = []

    def sources() -> Iterator[list[str]]:
        for source, target in read_pairs(text, "train"):
            targets.append(target)
            yield split_words(source)

    index = Index.of(track(sources(), label="train sources"))
    near = [[targets[row] for row in index.nearest(split_words(each), num_candidates)] for each in asked.sources]
    return {COPY: replace(asked, texts=[[each] for each in asked.sources]), NEAREST: replace(asked, texts=near)}


def _scored(held: Candidates, rule: Rule, name: str) -> Scored:
    candidates = [[split_words(text) for text in row] for row in held.texts]
    references = [split_words(text) for text in held.references]
    return score(Answers(references, candidates, ranked=name == NEAREST), rule)


def _with_bertscore(
    scored: Mapping[str, Scored], answers: Mapping[str, Candidates], params: Params
) -> dict[str, Scored]:
    """BERTScore of every system's chosen texts, as one score more."""
    assert params.pairs.bertscore is not None, "it was asked for"
    machine = Machine.prepare(params.runtime)
    place = place_of(params.pairs.bertscore, params)
    try:
        encoder = ContextualEncoder(place, params.pairs.bertscore_layer, machine.device)
    except ValueError as error:
        raise ValueError(f"pairs.bertscore: {error}") from None
    found = {}
    references = encoder.encode(next(iter(answers.values())).references)
    for name, system in track(list(scored.items()), label="BERTScore"):
        texts = encoder.encode(_chosen(answers[name], system))
        values = np.array([bertscore(one, other) for one, other in zip(texts, references, strict=True)])
        found[name] = replace(system, columns=system.columns | {"bertscore": values})
    return found


def _chosen(held: Candidates, system: Scored) -> list[str]:
    return [row[number] for row, number in zip(held.texts, system.chosen, strict=True)]


def _told(
    params: Params, scored: Mapping[str, Scored], answers: Mapping[str, Candidates], rule: Rule
) -> dict[str, Any]:
    settings, groups = params.metrics, groups_of(params)
    columns = {name: each.columns for name, each in scored.items()}
    summaries = {name: summary(each, settings.seed, settings.bootstrap) for name, each in scored.items()}
    asked = answers[COPY]
    num_candidates = max(len(answers[arm].texts[0]) for arm in params.arms)
    pairs = [(name, other) for name in groups if (other := params.arms[name].baseline) in groups]
    spreads = [pair_contrasts.spread(one, str(other), groups, columns) for one, other in pairs]
    assert params.corpus.pairs is not None, "the source is pairs"
    return {
        "task": params.corpus.pairs.task,
        "sources": len(asked.sources),
        "candidates": num_candidates,
        "rule": rule,
        "bertscore": params.pairs.bertscore,
        "signature": signatures(len(asked.sources), num_candidates, settings.seed, rule, params.pairs.bertscore),
        "arms": {arm: summaries[arm] for arm in params.arms},
        "baselines": {name: summaries[name] for name in (COPY, NEAREST)},
        "references": _of_references(asked, settings),
        "near_copies": near_copies(
            columns[NEAREST]["bleu"],
            {name: each["bleu"] for name, each in columns.items()},
            settings.seed,
            settings.bootstrap,
        ),
        "contrasts": pair_contrasts.contrasts(
            {name: columns[name] for name in (*groups, COPY, NEAREST)}, settings.seed, settings.bootstrap
        ),
        "seeds": {name: pair_contrasts.told(group, columns) for name, group in groups.items() if len(group) > 1},
        "spread": [each for each in spreads if each is not None],
        "examples": _examples(scored, answers, groups),
    }


def _of_references(asked: Candidates, settings: Metrics) -> dict[str, Any]:
    """What needs no reference, of the references themselves."""
    told = summary(
        _scored(replace(asked, texts=[[each] for each in asked.references]), "mbr", "references"),
        settings.seed,
        settings.bootstrap,
    )
    return {key: told[key] for key in ("distinct_1", "mean_words", "diffuseq_dist_1")}


def _examples(
    scored: Mapping[str, Scored], answers: Mapping[str, Candidates], groups: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The first sources with every system's choice, not selected."""
    chosen = {name: _chosen(answers[name], scored[name]) for name in (*groups, NEAREST)}
    return [
        {"source": source, "reference": reference, "answers": {name: texts[row] for name, texts in chosen.items()}}
        for row, (source, reference) in enumerate(answers[COPY].asked[:NUM_EXAMPLES])
    ]


def _table(scored: Mapping[str, Scored], answers: Mapping[str, Candidates]) -> dict[str, Any]:
    """A row for every system and source: what was chosen and its scores; null where a source has no such score."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("system", "index", "text", "diffuseq_text", "words", *SCORES)
    }
    for name, system in scored.items():
        number = len(system.chosen)
        theirs = replace(system, chosen=system.diffuseq_chosen)
        columns["system"] += [name] * number
        columns["index"] += range(number)
        columns["text"] += _chosen(answers[name], system)
        columns["diffuseq_text"] += _chosen(answers[name], theirs)
        for key in ("words", *SCORES):
            values = system.columns.get(key)
            columns[key] += [None] * number if values is None else [None if np.isnan(v) else float(v) for v in values]
    return columns


def _sections(params: Params, instance: str | None) -> dict[str, Any]:
    return {"pairs": params.pairs.model_dump(), "metrics": params.metrics.model_dump()}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run("pairs", _body, argv, paths=("corpus", "sample", "out"), sections=_sections)


if __name__ == "__main__":
    sys.exit(main())
