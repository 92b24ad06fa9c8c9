"""Trained arms of every system, tiny, as the train stage leaves them; and the program, called in process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import AddedToken

from diffusionbert.__main__ import main
from diffusionbert.arms import autoregressive, bert_mouth, diffusion_lm
from diffusionbert.arms.absorbing import Absorbing, Settings
from diffusionbert.arms.build import vocabulary_of
from diffusionbert.arms.saved import save_arm
from diffusionbert.corpus.shard_writer import Rows, write_shards
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.tokenizers import special_ids
from diffusionbert.denoisers import backbone
from toy_arms import disturb
from unit.program import Program
from unit.small_arms import LINEAR, SHAPE, SPINDLE, information_of, small_arm

GPT = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
EMBEDDED: dict[str, Any] = {
    "init": "random",
    "schedule": "cosine",
    "num_steps": 32,
    "embedding_size": 16,
    "sampling_steps": 8,
    "prediction": "expected",
    "objective": "bound",
}


@pytest.fixture(scope="session")
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


@pytest.fixture(scope="session")
def folders(shards: Shards, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model folder of an arm of every system, by name."""
    vocabulary, tokenizer = vocabulary_of(shards, information_of(shards)), shards.tokenizer_folder
    torch.manual_seed(0)
    masked, causal = ({"kind": "masked"}, SHAPE), ({"kind": "causal"}, GPT)
    mouth, words, left = (backbone.fresh(shape, vocabulary.size, **kind) for kind, shape in (masked, masked, causal))
    arms: dict[str, Any] = {
        "linear": small_arm(shards, LINEAR),
        "spindle": small_arm(shards, SPINDLE),
        "mouth": bert_mouth.BertMouth(bert_mouth.Settings(init="random", num_steps=32), mouth, vocabulary, tokenizer),
        "embedded": diffusion_lm.DiffusionLM(diffusion_lm.Settings(**EMBEDDED), words, vocabulary, tokenizer),
        "left": autoregressive.Autoregressive(autoregressive.Settings(init="random"), left, vocabulary, tokenizer),
    }
    return {name: _saved(arm, tmp_path_factory.mktemp(name)) for name, arm in arms.items()}


def _saved(arm: Any, folder: Path) -> Path:
    if not isinstance(arm, diffusion_lm.DiffusionLM):  # whose bound would grow without one
        disturb(arm.module, by=0.1)
    save_arm(arm, folder)
    return folder


@pytest.fixture(scope="session")
def like_roberta(bytes_tokenizer: Any, grammar_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with bytes for letters and the mask token `<mask>`, to which a space before it belongs."""
    names = {"pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bytes_tokenizer.backend_tokenizer,
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
        **names,
    )
    place = tmp_path_factory.mktemp("bytes")
    write_shards(grammar_text, place / "shards", tokenizer, special_ids(tokenizer, "bytes"), Rows(60), shard_size=500)
    shards = Shards.open(place / "shards")
    vocabulary = vocabulary_of(shards, information_of(shards))
    shape = SHAPE | {"model_type": "roberta", "pad_token_id": vocabulary.pad_id, "max_position_embeddings": 512}
    torch.manual_seed(0)
    arm = Absorbing(Settings(**LINEAR), backbone.fresh(shape, vocabulary.size), vocabulary, shards.tokenizer_folder)
    (place / "model").mkdir()
    return _saved(arm, place / "model")


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    """The exit code, stdout and stderr of `python -m diffusionbert ...`."""

    def called(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return called
