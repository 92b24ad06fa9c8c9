"""Whether a tokenizer lower-cases is read, recorded and set; refused where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast

from diffusionbert.corpus.casing import lower_cases, set_case
from diffusionbert.corpus.tokenizers import save_tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def _bert(words: list[str], *, lower: bool) -> BertTokenizer:
    return BertTokenizer(vocab={word: i for i, word in enumerate([*SPECIAL, *words])}, do_lower_case=lower)


def _plain(normalizer: normalizers.Normalizer | None) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({"a": 0, "A": 1, "[UNK]": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if normalizer is not None:
        backend.normalizer = normalizer
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")


def test_case_is_read_from_the_normaliser() -> None:
    assert lower_cases(_bert(["the"], lower=True))
    assert not lower_cases(_bert(["The"], lower=False))
    assert not lower_cases(_plain(None))
    assert lower_cases(_plain(normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])))
    assert not lower_cases(_plain(normalizers.NFD()))


def test_case_is_set_and_stays_when_saved(tmp_path: Path) -> None:
    tokenizer = _bert(["the", "The"], lower=True)
    set_case(tokenizer, False, "k")
    assert tokenizer.tokenize("The the") == ["The", "the"]
    save_tokenizer(tokenizer, tmp_path / "cased")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "cased")
    assert not lower_cases(loaded)
    assert loaded.tokenize("The the") == ["The", "the"]
    set_case(loaded, True, "k")
    assert loaded.tokenize("The the") == ["the", "the"]


def test_what_a_tokenizer_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="k: false, and the vocabulary has no capital letter"):
        set_case(_bert(["the"], lower=True), False, "k")
    with pytest.raises(ValueError, match="k: True, and the tokenizer has no normaliser; expected BERT's, or null"):
        set_case(_plain(None), True, "k")
    set_case(_plain(None), False, "k")
