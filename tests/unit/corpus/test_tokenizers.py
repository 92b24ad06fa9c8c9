"""Tokenizers: trained here, loaded, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from diffusionbert import config
from diffusionbert.corpus.folders import sha256_of_folder
from diffusionbert.corpus.special import Special, tokenizer_hash
from diffusionbert.corpus.text import read_sentences
from diffusionbert.corpus.tokenizers import (
    decode_tokens,
    encode_text,
    load_tokenizer,
    save_tokenizer,
    special_ids,
    token_texts,
    train_wordpiece,
)

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


def _tokenizer(vocabulary: dict[str, int], special: dict[str, str]) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {f"{kind}_token": token for kind, token in special.items()}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def test_training_is_deterministic(grammar_text: Path) -> None:
    sentences = list(read_sentences(grammar_text, "train"))
    first = train_wordpiece(sentences, 300)
    assert first.get_vocab() == train_wordpiece(sentences, 300).get_vocab()
    assert first.get_vocab() == train_wordpiece(sentences[::-1], 300).get_vocab(), "the order does not matter"
    assert len(first) == 300
    assert [first.convert_ids_to_tokens(i) for i in range(5)] == list(SPECIAL.values())


def test_training_lower_cases_and_knows_its_text(grammar_text: Path) -> None:
    tokenizer = train_wordpiece(read_sentences(grammar_text, "train"), 300)
    text = next(read_sentences(grammar_text, "train"))
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert ids == tokenizer.encode(text.upper(), add_special_tokens=False)
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids).replace(" ", "") == text.lower().replace(" ", "")


def test_a_vocabulary_too_small_for_the_alphabet_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tokenizers\.x\.vocab_size: 10; expected at least 13"):
        train_wordpiece(["abba cab", "a . b"], 10, where="tokenizers.x.vocab_size")
    with pytest.raises(ValueError, match="no text"):
        train_wordpiece([], 10)


def test_a_saved_tokenizer_is_the_same(grammar_shards: Path, tmp_path: Path) -> None:
    place = grammar_shards / "tokenizer"
    source = config.Tokenizer(source="path", name=str(place), sha256=sha256_of_folder(place))
    tokenizer = load_tokenizer("words", source, {}, [])
    special = special_ids(tokenizer, "words")
    texts = token_texts(grammar_shards / "tokenizer", special)
    assert len(texts) == special.vocab_size == 300
    assert texts[special.mask_id] == "[MASK]"
    ids = encode_text(grammar_shards / "tokenizer", "The the THE.")
    assert ids[0] == ids[1] == ids[2]
    save_tokenizer(tokenizer, tmp_path / "again")
    assert tokenizer_hash(tmp_path / "again") == tokenizer_hash(grammar_shards / "tokenizer")


def test_special_ids() -> None:
    tokens = [*SPECIAL.values(), "[unused0]", "word"]
    vocabulary = {token: i for i, token in enumerate(tokens)} | {"late": 9}
    special = special_ids(_tokenizer(vocabulary, SPECIAL), "t")
    assert special == Special(10, 0, 4, 2, 3, 1, not_candidates=(0, 2, 3, 4, 5, 7, 8)), "holes are none either"
    assert Special.from_dict(special.as_dict()) == special


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    special = {kind: token for kind, token in SPECIAL.items() if kind != "mask"}
    vocabulary = {token: i for i, token in enumerate([*special.values(), "word"])}
    with pytest.raises(ValueError, match=r"tokenizers\.t: the tokenizer has no mask token"):
        special_ids(_tokenizer(vocabulary, special), "tokenizers.t")


def test_a_causal_lms_tokenizer_starts_and_ends_a_text_by_one_token(bytes_tokenizer: Any) -> None:
    """GPT-2's shape: start, end and unknown token are one, and there is no other."""
    special = special_ids(bytes_tokenizer, "t")
    end = bytes_tokenizer.eos_token_id
    assert special == Special(300, end, None, end, end, None, not_candidates=(end,))
    assert Special.from_dict(special.as_dict()) == special
    started = special_ids(_tokenizer({"<s>": 0, "</s>": 1, "a": 2}, {"bos": "<s>", "eos": "</s>"}), "t")
    assert (started.cls_id, started.sep_id, started.pad_id, started.mask_id) == (0, 1, 1, None)


def test_a_vocabulary_over_uint16_is_refused() -> None:
    vocabulary = {token: i for i, token in enumerate([*SPECIAL.values(), *map(str, range(65_532))])}
    with pytest.raises(ValueError, match=r"tokenizers\.t: a vocabulary of 65,537; expected at most 65,536"):
        special_ids(_tokenizer(vocabulary, SPECIAL), "tokenizers.t")


def test_a_tokenizer_written_in_python_is_refused(tmp_path: Path) -> None:
    ByT5Tokenizer().save_pretrained(tmp_path)
    mine = config.Tokenizer(source="path", name=str(tmp_path), sha256=sha256_of_folder(tmp_path), lower_case=True)
    with pytest.raises(ValueError, match=r"tokenizers\.t: ByT5Tokenizer is written in Python; expected a tokenizer of"):
        load_tokenizer("t", mine, {}, [])


def test_a_missing_folder_and_an_unreachable_hub_are_told(tmp_path: Path) -> None:
    missing = config.Tokenizer(source="path", name=str(tmp_path / "nothing"), sha256="0" * 64)
    with pytest.raises(ValueError, match=r"tokenizers\.t\.name: no folder"):
        load_tokenizer("t", missing, {}, [])
    hub = config.Tokenizer(source="hub", name="nobody/nothing")
    with pytest.raises(OSError, match=r"tokenizers\.t: 'nobody/nothing' could not be loaded .*HF_HOME") as caught:
        load_tokenizer("t", hub, {}, [])
    assert "\n" not in str(caught.value)


def test_a_packed_row_is_decoded_as_a_line_for_each_sentence(tmp_path: Path) -> None:
    ids = {**{token: i for i, token in enumerate(SPECIAL.values())}, "a": 5, "man": 6, "ran": 7}
    save_tokenizer(_tokenizer(ids, SPECIAL), tmp_path / "tokenizer")
    rows = [[5, 6, 3, 7, 3], [3, 3, 6], [3], [7, 4]]
    assert decode_tokens(tmp_path / "tokenizer", rows, line_end=3) == ["a man\nran", "man", "", "ran [MASK]"]
    assert decode_tokens(tmp_path / "tokenizer", rows)[0] == "a man [SEP] ran [SEP]"
