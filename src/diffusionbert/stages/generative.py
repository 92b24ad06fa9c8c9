"""generative: how likely an autoregressive arm, the judge, finds every arm's samples, and the entropy of their tokens.

Low perplexity alone is no quality: a text of one word repeated has it. So the entropy of the same texts stands beside.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffusionbert.arms.base import Arm
from diffusionbert.arms.build import check, trained_arm
from diffusionbert.config import Params
from diffusionbert.corpus.batches import Given
from diffusionbert.corpus.encoding import encode
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import read_information
from diffusionbert.corpus.text import check_text, read_sentences
from diffusionbert.corpus.tokenizers import decode_tokens, saved_tokenizer
from diffusionbert.evaluation import sequence_nats
from diffusionbert.files import write_json
from diffusionbert.metrics.diversity import text_entropies
from diffusionbert.metrics.perplexity import Interval, figures, mean_interval
from diffusionbert.metrics.scores import REAL_TEXT, real_sentences
from diffusionbert.stages import shell
from diffusionbert.stages.compute import Machine
from diffusionbert.stages.inputs import refuse_masks, sample_rows
from diffusionbert.words import count_words

FIGURE = "exact"  # given the length, as samples are: no text pays for where it ends


@dataclass(frozen=True)
class Judge:
    """The arm that scores, with its tokenizer and the candidates among its ids."""

    arm: Arm
    shards: Shards
    candidates: np.ndarray
    machine: Machine
    params: Params


@dataclass(frozen=True)
class Texts:
    """Texts as the judge's tokens; `words` counts the words of each as far as it is scored."""

    tokens: Given
    words: np.ndarray
    truncated: int
    empty: int
    retokenised: bool


def _body(context: shell.Context) -> None:
    params, paths = context.params, context.paths
    check(params, str(context.file))
    name = params.generative.arm
    if name is None:
        write_json(paths["out"] / "metrics.json", {"arm": None, "arms": {}})
        return
    judge = _judge(name, params, paths)
    mask_is_told = params.sample.sampler == "released"  # the release's may leave [MASK], which sample counts
    samples = {arm: read_samples(paths["sample"] / arm / "samples.jsonl", mask_is_told) for arm in params.arms}
    scored = {
        arm: _scored(judge, _of_samples(judge, rows, params.arms[arm].tokenizer), arm) for arm, rows in samples.items()
    }
    check_text(paths["corpus"] / "text", ["valid"])
    sentences = list(read_sentences(paths["corpus"] / "text", "valid"))
    num_samples = min(len(rows) for rows in samples.values()) // 2
    real = real_sentences(sentences, num_samples, params.metrics.seed)
    longest = min(params.sample.length, judge.arm.max_length)  # no longer than samples are
    told = {
        "arm": name,
        "figure": FIGURE,
        "interval": f"95 % bootstrap over texts, {params.metrics.bootstrap} resamples",
        **judge.machine.described,
        "arms": scored,
        REAL_TEXT: _scored(judge, _retokenised(judge, real, longest), "real text"),
    }
    write_json(paths["out"] / "metrics.json", told)
    context.journal.metrics(
        {f"{arm}_perplexity_per_token": row["perplexity_per_token"]["value"] for arm, row in scored.items()}
    )


def _judge(name: str, params: Params, paths: dict[str, Path]) -> Judge:
    machine = Machine.prepare(params.runtime)
    row = params.arms[name]
    shards = Shards.open(paths["tokenize"] / row.tokenizer / "shards")
    table = read_information(paths["information"] / row.tokenizer / "table.parquet", shards.special)
    arm = trained_arm(name, params, paths["train"] / name / "model", shards, table, machine.device)
    return Judge(arm, shards, table.candidates, machine, params)


def read_samples(path: Path, mask_is_told: bool = False) -> list[dict[str, Any]]:
    """An arm's samples, `text` and `tokens` of each. Raises ValueError naming the file that is missing or damaged.

    And when a text has a [MASK] left, unless `mask_is_told`.
    """
    rows = sample_rows(path, ("text", "tokens"))
    if not rows:
        raise ValueError(f"{path}: no samples; expected at least one")
    refuse_masks(path, [] if mask_is_told else [row["text"] for row in rows])
    return rows


def _of_samples(judge: Judge, rows: list[dict[str, Any]], tokenizer: str) -> Texts:
    """The tokens as they were drawn where they are the judge's own and all can be a word; else those of the text."""
    longest = judge.arm.max_length
    tokens = [np.asarray(row["tokens"], dtype=np.int64) for row in rows]
    own = tokenizer == judge.params.arms[str(judge.params.generative.arm)].tokenizer
    if not own or not all(judge.candidates[row].all() for row in tokens):
        return _retokenised(judge, [row["text"] for row in rows], longest)
    cut = [row[:longest] for row in tokens]
    truncated = sum(len(row) > longest for row in tokens)
    texts = [row["text"] for row in rows]
    if truncated:
        texts = decode_tokens(judge.shards.tokenizer_folder, [row.tolist() for row in cut])
    return Texts(Given("samples", cut), np.array(count_words(texts)), truncated, 0, False)


def _retokenised(judge: Judge, texts: Sequence[str], longest: int) -> Texts:
    encoded = encode(saved_tokenizer(judge.shards.tokenizer_folder), texts, longest)
    rows = np.split(encoded.tokens.astype(np.int64), encoded.offsets[1:-1])
    if len(encoded.words) == 0:
        raise ValueError(f"{len(texts)} texts without a token of the tokenizer of the judge; expected some")
    return Texts(Given("texts", rows), encoded.words.astype(np.int64), encoded.truncated, encoded.empty, True)


def _scored(judge: Judge, texts: Texts, name: str) -> dict[str, Any]:
    """Nats per token and perplexities over all texts, and the mean over texts of the entropy of a text's tokens."""
    settings, machine = judge.params.metrics, judge.machine
    with machine.autocast():
        nats = sequence_nats(
            judge.arm.scorer([], 0.0),
            texts.tokens,
            FIGURE,
            batch_size=judge.params.generative.batch_size,
            pad_id=judge.shards.special.pad_id,
            device=machine.device,
            label=f"generative perplexity of {name}",
        )
    lengths = texts.tokens.lengths
    told = figures(nats, texts.words, lengths, np.random.default_rng(settings.seed), settings.bootstrap)
    entropies = text_entropies([row.tolist() for row in texts.tokens.rows])
    entropy = mean_interval(entropies, np.random.default_rng(settings.seed), settings.bootstrap)
    return {
        "nats_per_token": _log(told.perplexity_per_token).as_dict(),
        "perplexity_per_token": told.perplexity_per_token.as_dict(),
        "perplexity_per_word": told.perplexity_per_word.as_dict(),
        "token_entropy_nats": entropy.as_dict(),
        "texts": len(texts.tokens),
        "tokens": int(lengths.sum()),
        "words": int(texts.words.sum()),
        "truncated": texts.truncated,
        "empty": texts.empty,
        "retokenised": texts.retokenised,
    }


def _log(perplexity: Interval) -> Interval:
    return Interval(math.log(perplexity.value), math.log(perplexity.low), math.log(perplexity.high))


def _sections(params: Params, name: str | None) -> dict[str, Any]:
    return {
        "generative": params.generative.model_dump(),
        "metrics": params.metrics.model_dump(),
        "runtime": params.runtime.model_dump(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    paths = ("corpus", "sample", "train", "tokenize", "information", "out")
    return shell.run("generative", _body, argv, paths=paths, sections=_sections)


if __name__ == "__main__":
    sys.exit(main())
