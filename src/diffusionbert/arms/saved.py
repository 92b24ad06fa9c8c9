"""A trained arm's folder, whole by itself: what its system saves, what it knows of its vocabulary, and sums of all.

`transformers` loads the model and the tokenizer from it; `build.saved_arm` the arm, without params.yaml, shards or
information table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusionbert.arms.base import Arm, Vocabulary
from diffusionbert.corpus.pair_encoding import PairRows
from diffusionbert.files import check_sums, read_json, write_json, write_sums

VOCABULARY = "vocabulary.safetensors"
PAIRS = "pairs.json"
DESCRIBED = "arm.json"  # the system and its settings
_TENSORS = ("candidates", "counts", "information")
_NUMBERS = ("mask_id", "pad_id", "cls_id", "sep_id", "mean_information")


def save_arm(arm: Arm, folder: Path, pairs: Mapping[str, Any] | None = None) -> None:
    """Writes the arm into an empty folder; `pairs` is how rows were made of pairs, where they were."""
    from safetensors.torch import save_file

    arm.save(folder)
    vocabulary = arm.vocabulary
    tensors = {name: getattr(vocabulary, name).cpu().contiguous() for name in _TENSORS}
    numbers = {name: getattr(vocabulary, name) for name in _NUMBERS}
    # one entry: several would be written in the order of a hash map
    save_file(tensors, folder / VOCABULARY, metadata={"vocabulary": json.dumps(numbers)})
    if pairs is not None:
        write_json(folder / PAIRS, dict(pairs))
    write_sums(folder)


def read_pairs(folder: Path) -> PairRows | None:
    """How rows were made of pairs; None where the arm was trained on texts by themselves."""
    return PairRows(**read_json(folder / PAIRS)) if (folder / PAIRS).is_file() else None


def read_description(folder: Path) -> tuple[str, dict[str, Any]]:
    """The system of a saved arm and its settings, after a check of every file of the folder.

    Raises ValueError naming the file that is missing, changed, or no arm's.
    """
    path = folder / DESCRIBED
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a model folder as the train stage leaves it")
    check_sums(folder)
    match read_json(path):
        case {"system": str(system), "settings": dict(settings)}:
            return system, settings
        case other:
            raise ValueError(f"{path}: found {str(other)[:60]}; expected the keys 'system' and 'settings'")


def read_vocabulary(folder: Path) -> Vocabulary:
    """What `save_arm` wrote of the vocabulary. Raises ValueError naming the file that is missing or none."""
    from safetensors import SafetensorError, safe_open

    path = folder / VOCABULARY
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected it beside the model: run the train stage again")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in _TENSORS}
            numbers = json.loads((file.metadata() or {})["vocabulary"])
        return Vocabulary(**tensors, **{name: numbers[name] for name in _NUMBERS})
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: {error}; expected the vocabulary of a trained arm") from None
