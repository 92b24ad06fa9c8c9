"""What the scores of pairs must be told with."""

from __future__ import annotations

from typing import Any

from diffusionbert.metrics.sentence_bleu import ORDER, SMOOTHING
from diffusionbert.metrics.signature import VERSION, Signature

INTERVAL = "mean over sources, 95 % bootstrap over sources"
SPACED = "bert-basic,decoded,spaces"  # as `metrics.diffuseq` splits
ALPHANUMERIC = "bert-basic,decoded,a-z0-9"
CHOSEN = (
    "bleu",
    "median_bleu",
    "corpus_bleu",
    "rouge_l",
    "distinct_1",
    "bertscore",
)  # the scores that our choice enters
CHOICE_VERSION = {"mbr": "2"}  # 1 took the first of equal candidates, empty or not
SAID = "empty ones left out, against all others; sources with fewer than two left out"
RULES = {
    "mbr": "the candidate of the greatest summed sentence BLEU against the others, of equal ones the first that is "
    "not empty",
    "released": "the candidate that the others and it itself score best against, as the release chooses",
}


def signatures(num_sources: int, num_candidates: int, seed: int, rule: str, encoder: str | None) -> dict[str, Any]:
    """By the name of the score; `encoder` says under which model BERTScore is, if there is one."""
    one = f"of {num_candidates} candidates, {RULES[rule]}"
    chosen = f"{one}; {INTERVAL}"
    theirs = f"of {num_candidates} candidates, the one that the others score best against; {INTERVAL}"
    several = f"{num_candidates} candidates of one source"

    def of(
        name: str, n: int, references: int | None, note: str, smoothing: str | None = None, tok: str = ""
    ) -> Signature:
        version = CHOICE_VERSION.get(rule, VERSION) if name in CHOSEN else VERSION
        told = {"version": version} | ({"tokenisation": tok} if tok else {})
        return Signature(name, n, num_sources, references, seed, note, smoothing, **told)

    every = [
        of("bleu", ORDER, 1, chosen, SMOOTHING),
        of("median_bleu", ORDER, 1, f"{one}; median over sources, no interval", SMOOTHING),
        of("bleu_of_all", ORDER, 1, f"mean over the {num_candidates} candidates, none chosen; {INTERVAL}", SMOOTHING),
        of("corpus_bleu", ORDER, 1, "the chosen candidates of all sources together, no interval", "none"),
        of("rouge_l", 1, 1, f"F, punctuation left out; {chosen}"),
        of("distinct_1", 1, None, "distinct words / words of all chosen candidates together, no interval"),
        of("self_bleu", ORDER, num_candidates - 1, f"each of {several}, {SAID}; {INTERVAL}", SMOOTHING),
        of("div_4", ORDER, None, f"distinct 4-grams / 4-grams of {several}, sources without any left out; {INTERVAL}"),
        of("diffuseq_bleu", ORDER, 1, f"hypothesis and reference swapped; {theirs}", SMOOTHING, SPACED),
        of("diffuseq_rouge_l", 1, 1, f"F; {theirs}", tok=ALPHANUMERIC),
        of("diffuseq_dist_1", 1, None, f"distinct words / words of each text; {theirs}", tok=SPACED),
        of("diffuseq_self_bleu", ORDER, 1, f"later of every two of {several} against the earlier", SMOOTHING, SPACED),
        of("diffuseq_div_4", ORDER, None, f"distinct 4-grams / 4-grams of {several}, 0 without any", tok=SPACED),
    ]
    if encoder is not None:
        every.append(of("bertscore", 1, 1, f"F under {encoder}, no idf, not rescaled; {chosen}", tok="the-model's"))
    alone = num_candidates < 2  # then nothing is said of how varied they are
    return {each.score: each.as_dict() for each in every if not (alone and each.score.endswith(("self_bleu", "div_4")))}
