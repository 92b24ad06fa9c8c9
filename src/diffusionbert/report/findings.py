"""The summary of a report: sentences whose every number and every verdict is computed from results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusionbert.report import conditional
from diffusionbert.report.document import NOT_APPLICABLE
from diffusionbert.report.formats import interval, number
from diffusionbert.report.paper import CORPUS, published_ratio
from diffusionbert.report.results import ArmResults, Results
from diffusionbert.report.tables import PROTOCOLS, steps

AS_PUBLISHED = "released_against_valid"  # a figure of stage metrics: the comparison the paper makes


def summary(results: Results) -> list[str]:
    """Five lines: what was run, on what, how it was scored, the schedule's effect, what else moved most."""
    last = conditional.finding(results) if results.is_conditional else _text(results)
    return [_run(results), _scored(results), _schedule(results), _pretraining(results), last]


def _run(results: Results) -> str:
    trained = [arm for arm in results.arms if arm.train]
    corpus = results.corpus
    where = "no corpus yet"
    if corpus is not None:
        sentences, words = number(corpus["sentences"]["train"]), number(corpus["words"]["train"])
        what, unit = _units(results)
        where = f"{sentences} training {what} ({words} {unit}) of {_source(results)}"
    if not trained:
        return f"Profile `{results.params.profile}`: none of {len(results.arms)} arms is trained yet; {where}."
    budget = sorted({(arm.train["steps"], arm.train["tokens_seen"]) for arm in trained if arm.train})
    sizes = " or ".join(f"{number(each[0])} steps ({number(each[1])} tokens)" for each in budget)
    arms = f"{len(trained)} of {len(results.arms)} arms"
    return f"Profile `{results.params.profile}`: {arms} trained for {sizes} on {where}."


def _units(results: Results) -> tuple[str, str]:
    return ("pairs", "words of targets") if results.is_conditional else ("sentences", "words")


def _source(results: Results) -> str:
    return "lm1b" if results.params.corpus.source == "lm1b" else f"the `{results.params.corpus.source}` source"


def _scored(results: Results) -> str:
    scored = [arm for arm in results.arms if arm.evaluate]
    if not scored:
        return "Nothing is scored yet."
    how: dict[tuple[int, int], set[str]] = {}
    for arm in scored:
        held = arm.evaluate or {}
        how.setdefault((held["sentences"], held["words"]), set()).add(steps(held))
    what, unit = _units(results)
    sizes = " and ".join(
        f"{number(sentences)} test {what} ({number(words)} {unit}{_comma(told)})"
        for (sentences, words), told in sorted(how.items())
    )
    groups = " and ".join(sorted({arm.group for arm in scored if arm.group}))
    intervals = f"intervals are 95 % over {what}, not over seeds"
    return f"{len(scored)} arms scored on {sizes}, on {groups}; {intervals}."


def _comma(told: set[str]) -> str:
    return "".join(f"; {text}" for text in sorted(told - {NOT_APPLICABLE}))


def _schedule(results: Results) -> str:
    """The headline: what the spindle is worth under each protocol."""
    pair = spindle_pair(results)
    if pair is None:
        return "Spindle against linear: no spindle arm is scored yet beside its linear twin as baseline."
    arm, baseline = pair
    figures = (arm.paired or {})["figures"]
    parts = [f"under {name} {_told(figures[name])}" for name in PROTOCOLS if name in figures]
    if AS_PUBLISHED in figures:
        parts.append(f"released over the linear arm's valid, as the paper's table, {_told(figures[AS_PUBLISHED])}")
    published = published_ratio(arm.design, baseline.design)
    told = published is not None and not results.is_conditional
    beside = f" The paper's own ratio on {CORPUS} is {number(published)}." if told else ""
    over = f"perplexity per word, “{arm.label}” over “{baseline.label}”"
    return f"**Spindle against linear**, {over}: {'; '.join(parts)}.{beside}"


def _told(figure: Mapping[str, Any]) -> str:
    ratio = figure["perplexity_per_word_ratio"]
    return f"it {verdict(ratio)} (ratio {interval(ratio)})"


def spindle_pair(results: Results) -> tuple[ArmResults, ArmResults] | None:
    """The first spindle arm that has its linear twin as baseline, both scored on the same device."""
    for arm in results.arms:
        baseline = results.arm(arm.arm.baseline)
        if baseline is None or not arm.paired or arm.group != baseline.group:
            continue
        one, two = arm.design, baseline.design
        same = (one.system, one.init, one.time) == (two.system, two.init, two.time)
        if same and one.schedule == "spindle" and two.schedule == "linear" and arm.paired["figures"]:
            return arm, baseline
    return None


def _pretraining(results: Results) -> str:
    for arm in results.arms:
        baseline = results.arm(arm.arm.baseline)
        if baseline is None or not arm.paired or arm.group != baseline.group:
            continue
        one, two = arm.design, baseline.design
        same = (one.system, one.schedule, one.time) == (two.system, two.schedule, two.time)
        if same and (one.init, two.init) == ("pretrained", "random") and "valid" in arm.paired["figures"]:
            ratio = arm.paired["figures"]["valid"]["perplexity_per_word_ratio"]
            return (
                f"**Pretrained against random init** under valid: it {verdict(ratio)} "
                f"(perplexity per word, “{arm.label}” over “{baseline.label}”: ratio {interval(ratio)})."
            )
    return "Pretrained against random init: no such pair is scored yet."


def _text(results: Results) -> str:
    scored = [(arm, arm.scores) for arm in results.arms if arm.scores]
    real = (results.metrics or {}).get("real_text")
    if not scored or real is None:
        return "No samples are scored yet."
    best, scores = max(scored, key=lambda item: item[1]["bleu4"]["value"])
    return (
        f"**Samples**: the highest BLEU-4 is that of “{best.label}”, {interval(scores['bleu4'])}, at "
        f"a Self-BLEU-4 of {interval(scores['self_bleu4'])}; real text reaches {interval(real['bleu4'])} and "
        f"{interval(real['self_bleu4'])}."
    )


def verdict(ratio: Mapping[str, Any]) -> str:
    """What a ratio of perplexities and its interval say, in words."""
    if ratio["high"] < 1:
        return "lowers the perplexity"
    if ratio["low"] > 1:
        return "raises the perplexity"
    return "makes no difference that these sentences can tell"
