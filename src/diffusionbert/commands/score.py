"""score: nats and perplexities of given texts under a trained arm, by the code that the evaluate stage runs."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np

from diffusionbert.arms.base import Drawing, Figure, Scorer
from diffusionbert.commands import opened as arms
from diffusionbert.commands import pairs, texts
from diffusionbert.commands.opened import Opened
from diffusionbert.commands.pairs import Frame
from diffusionbert.commands.ranges import MOST, MOST_SEED, check_range
from diffusionbert.corpus.batches import Given, in_order_of_length
from diffusionbert.evaluation import Scores, evaluate, num_draws
from diffusionbert.metrics.perplexity import perplexity
from diffusionbert.words import count_words

OWN = ("valid", "bound", "exact")  # the figure that a system stands by, the first that it has
BATCH = 32
LARGEST = 709.0  # nats, of which exp is a float64
COLUMNS = ("nats", "s.e.", "nats/token", "PPL/word", "PPL/token", "text")


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "score",
        help="nats and perplexities of given texts under a trained arm",
        description="Tells the nats of every text, -ln p or a bound on it, and the perplexities per word and per token "
        "that they make. s.e. is the standard error of the estimate, from its draws: an exact figure has none, and one "
        "draw tells none.",
    )
    texts.add_arguments(parser, "a text")
    pairs.add_argument(parser)
    arms.add_arguments(parser)
    parser.add_argument(
        "--protocol", help="the figure; by default the system's own, which bounds or is -ln p: valid, bound or exact"
    )
    parser.add_argument("--strata", type=int, default=32, help="draws of the step a text, at most one a step")
    parser.add_argument("--steps", type=int, help="score the K-step model instead of the T-step one")
    parser.add_argument("--released-lambda", type=float, default=0.3, help="the spindle of the protocol 'released'")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def run(args: argparse.Namespace) -> None:
    for name, value in (("--strata", args.strata), ("--steps", args.steps)):
        check_range(name, value, 1, MOST)
    check_range("--seed", args.seed, 0, MOST_SEED)
    given = [text.strip() for text in texts.texts_of(args)]
    opened = arms.opened(args)
    frame = pairs.frame_of(opened, args.source)
    tokens = _tokens(opened, given, frame)
    rows = [np.array(frame.around(each), dtype=np.int64) for each in tokens]
    before = np.full(len(rows), len(frame.before)) if frame.before else None
    scorer = opened.arm.scorer([], args.released_lambda)
    protocol = _protocol(scorer, args.protocol)
    steps = _steps(scorer, args.steps)
    draws = None if scorer.figures[protocol].exact else num_draws(scorer, args.strata, steps)
    scores = evaluate(
        scorer,
        list(in_order_of_length(Given("texts", rows, before), len(rows), BATCH, opened.arm.vocabulary.pad_id)),
        num_strata=args.strata,
        num_eval_steps=steps,
        seed=args.seed,
        device=opened.device,
        label="score",
        figures=(protocol,),
    )[protocol]
    figure = scorer.figures[protocol]
    words, sizes = np.array(count_words(given)), np.array([frame.num_scored(each) for each in tokens])
    told = _told(given, scores, words, sizes, estimated=draws is not None and draws > 1)
    about = _about(args, protocol, figure, draws)
    if args.json:
        print(json.dumps({**opened.described, **frame.described, **about, **told}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(about, told, "text" if args.source is None else "text | source")))


def _tokens(opened: Opened, given: list[str], frame: Frame) -> list[list[int]]:
    """Token ids of every text; tells of what the tokenizer cannot read, which counts as an unknown word."""
    rows = []
    for number, text in enumerate(given, start=1):
        tokens = texts.numbered(number, texts.tokens_of, opened, text)
        texts.numbered(number, lambda t=tokens: texts.check_length(opened, len(frame.around(t))))
        if told := opened.unread(tokens):
            print(f"text {number}: {told}", file=sys.stderr)
        rows.append(tokens)
    return rows


def _protocol(scorer: Scorer, asked: str | None) -> str:
    if asked is None:
        return next(name for name in OWN if name in scorer.figures)
    if asked not in scorer.figures:
        raise ValueError(f"--protocol: found '{asked}'; expected one of {', '.join(scorer.figures)}")
    return asked


def _steps(scorer: Scorer, asked: int | None) -> int | None:
    if asked is not None and (scorer.num_steps is None or isinstance(scorer, Drawing)):
        raise ValueError(f"--steps: found {asked}; expected none, as this system's figure has no steps to choose")
    return asked


def _about(args: argparse.Namespace, protocol: str, figure: Figure, draws: int | None) -> dict[str, Any]:
    kind = "exact" if figure.exact else "upper bound" if figure.is_bound else "no bound"
    told = {"protocol": protocol, "kind": kind, "schedule": figure.schedule, "unit": "nats"}
    drawn = {"strata": draws, "seed": None if draws is None else args.seed}
    return {**told, **drawn, "eval_steps": args.steps}


def _told(given: list[str], scores: Scores, words: np.ndarray, sizes: np.ndarray, *, estimated: bool) -> dict[str, Any]:
    """Every text's figures, and those of all together: what the evaluate stage calls nats per sentence and so on.

    `estimated`: whether there are draws enough to tell a standard error.
    """
    rows = []
    for place, text in enumerate(given):
        here = slice(place, place + 1)
        figures = _figures(scores.nats[here], words[here], sizes[here])
        error = float(scores.standard_errors[place]) if estimated else None
        rows.append({"text": text, "nats": float(scores.nats[place]), "standard_error": error, **figures})
    overall = {
        "texts": len(given),
        "nats_per_text": float(scores.nats.mean()),
        "standard_error": scores.monte_carlo_standard_error if estimated else None,
        **_figures(scores.nats, words, sizes),
    }
    return {"texts": rows, "all": overall}


def _figures(nats: np.ndarray, words: np.ndarray, tokens: np.ndarray) -> dict[str, Any]:
    return {
        "words": int(words.sum()),
        "tokens": int(tokens.sum()),
        "nats_per_token": float(nats.sum() / tokens.sum()),
        "perplexity_per_word": _perplexity(nats, words),
        "perplexity_per_token": _perplexity(nats, tokens),
    }


def _perplexity(nats: np.ndarray, sizes: np.ndarray) -> float | None:
    """None where it has no value: for a text without a word, or a number that float64 cannot hold."""
    return perplexity(nats, sizes) if sizes.sum() > 0 and nats.sum() / sizes.sum() < LARGEST else None


def _lines(about: dict[str, Any], told: dict[str, Any], scored: str) -> list[str]:
    """A line on the figure, a header, a row for every text and, of several, one for their mean."""
    kinds = {
        "exact": f"-ln p({scored})",
        "upper bound": f"an upper bound on -ln p({scored})",
        "no bound": f"no bound on -ln p({scored})",
    }
    exact = about["strata"] is None
    draws = f"{about['strata']} draw{'s' * (about['strata'] != 1)} a text"
    drawn = "" if exact else f"; {draws}, seed {about['seed']}"
    steps = "" if about["eval_steps"] is None else f", of its {about['eval_steps']}-step model"
    lines = [f"# {about['protocol']}: {kinds[about['kind']]}, in nats ({about['schedule']}{steps}{drawn})"]
    rows = [(row["nats"], row, row["text"]) for row in told["texts"]]
    if len(rows) > 1:
        overall = told["all"]
        rows.append((overall["nats_per_text"], overall, f"(mean of {overall['texts']} texts)"))
    cells = [COLUMNS, *(_cells(nats, row, text, no_error="" if exact else "none") for nats, row, text in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS) - 1)]
    for row in cells:
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False))
        lines.append(f"{numbers}  {row[-1]}")
    return lines


def _cells(nats: float, row: dict[str, Any], text: str, no_error: str) -> tuple[str, ...]:
    error = no_error if row["standard_error"] is None else f"{row['standard_error']:.2f}"
    both = (row["perplexity_per_word"], row["perplexity_per_token"])
    told = ("none" if value is None else f"{value:,.1f}" if value < 1e6 else f"{value:.3g}" for value in both)
    return (f"{nats:.2f}", error, f"{row['nats_per_token']:.3f}", *told, text)
