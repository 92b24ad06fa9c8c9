"""How much of what is held out stands in train too, word for word or nearly, in words and as a column."""

from __future__ import annotations

from diffusionbert.report.document import Block, Bullets
from diffusionbert.report.formats import interval, number
from diffusionbert.report.results import Results, Values


def blocks(results: Results, held: Values) -> list[Block]:
    told = [*_in_train(results.corpus or {}), *_near(held)]
    return [Bullets(told)] if told else []


def _in_train(corpus: Values) -> list[str]:
    told = []
    if dropped := (corpus.get("dropped") or {}).get("in_train"):
        told.append(
            f"Held-out pairs whose source or target stands in train word for word are left out of the corpus: "
            f"{number(dropped)}."
        )
    found = {split: count for split, count in (corpus.get("targets_in_train") or {}).items() if count}
    if found:
        each = ", ".join(
            f"{number(count)} of the {number(corpus['sentences'][split])} of {split}" for split, count in found.items()
        )
        told.append(f"Held-out targets that stand in train word for word: {each}.")
    return told


def _near(held: Values) -> list[str]:
    near = held.get("near_copies")
    if near is None:
        return []
    told = (
        f"Near copies: of {number(near['sources'])} of the {number(held['sources'])} sources the nearest neighbour's "
        f"target reaches a BLEU of {near['least_bleu']:g} or more against the reference."
    )
    if not near["sources"] or "nearest" not in near["bleu"]:
        return [told]
    nearest = held["baselines"]["nearest"]
    return [
        f"{told} With them its BLEU is {interval(nearest['bleu'])}, without {interval(near['bleu']['nearest'])}; the "
        f"median over all sources is {number(nearest['median_bleu'])}."
    ]


def bleu_without(held: Values, name: str) -> str:
    """A system's BLEU over the sources that have no near copy; n/a of what is no system."""
    return interval((held.get("near_copies") or {}).get("bleu", {}).get(name))
