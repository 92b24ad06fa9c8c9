"""Families of synsets: the finest division in which no word and no gloss is in two parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from diffusionbert.corpus.glosses import families
from diffusionbert.corpus.wordnet import Synset

WORDS = st.sampled_from(["bank", "Bank", "river bank", "river-bank", "fog", "run", "break", "order", "elect"])
GLOSSES = st.sampled_from(["what it means", "What it means.", "a cat", "a command", "water", "to tip"])
SYNSET = st.builds(
    Synset,
    part=st.just("noun"),
    words=st.lists(WORDS, min_size=1, max_size=3).map(tuple),
    gloss=GLOSSES,
    examples=st.just(()),
)


def keys(synset: Synset) -> set[str]:
    plain = [text.lower().replace("-", " ").rstrip(".") for text in (*synset.words, synset.gloss)]
    return {*(f"word {text}" for text in plain[:-1]), f"gloss {plain[-1]}"}


@given(st.lists(SYNSET, max_size=12))
def test_families_are_what_sharing_reaches(found: list[Synset]) -> None:
    reached = []
    for number in range(len(found)):
        family = {number}
        while more := {
            other
            for other in set(range(len(found))) - family
            if any(keys(found[other]) & keys(found[own]) for own in family)
        }:
            family |= more
        reached.append(min(family))
    assert families(found) == reached
