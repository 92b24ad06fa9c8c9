"""The encoder of BERTScore: a saved BERT with a tokenizer of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffusionbert.corpus.tokenizers import train_wordpiece
from diffusionbert.denoisers import backbone
from diffusionbert.denoisers.contextual import ContextualEncoder
from diffusionbert.metrics.bertscore import bertscore

TEXTS = ["the cat sat on the mat .", "a dog", "", "the dog sat on the cat and the mat and the dog ."]
SHAPE = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("encoder")
    tokenizer = train_wordpiece(TEXTS * 20, 60, where="here")
    tokenizer.save_pretrained(place)
    torch.manual_seed(0)
    model: Any = backbone.fresh(
        {**SHAPE, "intermediate_size": 32, "max_position_embeddings": 12}, len(tokenizer.get_vocab())
    )
    model.save_pretrained(place)
    return place


def test_vectors_do_not_depend_on_the_batch_and_have_length_one(folder: Path) -> None:
    encoder = ContextualEncoder(folder, None, torch.device("cpu"))
    together = encoder.encode(TEXTS)
    for alone, among in zip((encoder.encode([text])[0] for text in TEXTS), together, strict=True):
        np.testing.assert_allclose(alone.vectors, among.vectors, atol=1e-6)
        np.testing.assert_array_equal(alone.counts, among.counts)
    assert encoder.layer == 2
    np.testing.assert_allclose(np.linalg.norm(together[0].vectors, axis=1), 1, rtol=1e-6)


def test_special_tokens_are_there_and_not_counted_and_long_texts_are_cut(folder: Path) -> None:
    encoded = ContextualEncoder(folder, 1, torch.device("cpu")).encode(TEXTS)
    assert encoded[2].counts.tolist() == [False, False]
    assert [each.counts[0] for each in encoded] == [False] * 4
    assert len(encoded[3].counts) == 12


def test_a_text_scores_one_against_itself_and_less_against_another(folder: Path) -> None:
    one, other, empty, _ = ContextualEncoder(folder, None, torch.device("cpu")).encode(TEXTS)
    assert bertscore(one, one) == pytest.approx(1, abs=1e-6)
    assert bertscore(one, other) < 1
    assert bertscore(one, other) == pytest.approx(bertscore(other, one))
    assert bertscore(empty, one) == 0


def test_what_does_not_load_and_a_layer_that_is_not_there_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layer is 3; expected 0 to 2"):
        ContextualEncoder(folder, 3, torch.device("cpu"))
    with pytest.raises(ValueError, match="no encoder with its tokenizer loads from there"):
        ContextualEncoder(tmp_path / "nothing", None, torch.device("cpu"))
