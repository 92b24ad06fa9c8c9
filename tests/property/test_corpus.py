"""Laws of the corpus: splits, words, counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusionbert import config
from diffusionbert.corpus.build import assign_split
from diffusionbert.corpus.documents import Document
from diffusionbert.corpus.encoding import Encoded
from diffusionbert.corpus.shard_writer import write_shard
from diffusionbert.corpus.shards import Split
from diffusionbert.corpus.statistics import count_tokens
from diffusionbert.words import count_words, split_words

TEXT = st.text(st.one_of(st.characters(codec="ascii"), st.characters(exclude_categories=["Cs"])), max_size=60)


def _corpus(valid_share: float, test_share: float, seed: int) -> config.Corpus:
    grammar = config.GrammarSource(num_documents=1, num_words=20)
    return config.Corpus(source="grammar", grammar=grammar, valid_share=valid_share, test_share=test_share, seed=seed)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(0, 2**31))
def test_a_larger_share_only_adds_documents(identity: str, seed: int) -> None:
    document = Document(identity, "")
    small, large = (assign_split(document, _corpus(0.1, share, seed)) for share in (0.1, 0.4))
    assert small == assign_split(document, _corpus(0.1, 0.1, seed))
    if small == "test":
        assert large == "test"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([(0.1, 0.2), (0.02, 0.05), (0.3, 0.3)]))
def test_shares_are_kept(seed: int, shares: tuple[float, float]) -> None:
    splits = [assign_split(Document(str(i), ""), _corpus(*shares, seed)) for i in range(3000)]
    for split, share in zip(("valid", "test"), shares, strict=True):
        # five standard deviations of the share of 3,000 independent documents
        assert splits.count(split) / 3000 == pytest.approx(share, abs=5 * (share * (1 - share) / 3000) ** 0.5)


@given(TEXT)
def test_words_are_counted_as_they_are_split(text: str) -> None:
    assert count_words([text, ""]) == [len(split_words(text)), 0]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=8), min_size=1, max_size=20),
    st.data(),
)
def test_counts_add_up_however_it_is_sharded(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[int]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(sentences)))
    folder = tmp_path_factory.mktemp("counts")
    whole = count_tokens(_split(folder / "whole.arrow", sentences), 50)
    parts = [sentences[:cut], sentences[cut:]]
    counts = [count_tokens(_split(folder / f"{i}.arrow", part), 50) for i, part in enumerate(parts) if part]
    np.testing.assert_array_equal(whole, sum(counts))
    np.testing.assert_array_equal(whole, np.bincount(np.concatenate(sentences), minlength=50))


def _split(path: Path, sentences: list[list[int]]) -> Split:
    lengths = [len(sentence) for sentence in sentences]
    tokens = np.concatenate(sentences).astype(np.uint16)
    offsets = np.cumsum([0, *lengths]).astype(np.int32)
    counts = write_shard(path, Encoded(tokens, offsets, np.asarray(lengths, np.uint16), 0, 0, len(lengths)))
    return Split("train", (path,), counts.sentences, counts.tokens)
