"""Whether a tokenizer lower-cases: read from its normaliser, and set where a normaliser and a vocabulary allow it."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import normalizers


def lower_cases(tokenizer: Any) -> bool:
    """Whether the normaliser turns capitals into small letters."""
    return _lowers(json.loads(tokenizer.backend_tokenizer.to_str())["normalizer"])


def _lowers(normalizer: dict[str, Any] | None) -> bool:
    if normalizer is None:
        return False
    if normalizer["type"] == "Sequence":
        return any(_lowers(each) for each in normalizer["normalizers"])
    return normalizer["type"] == "Lowercase" or bool(normalizer.get("lowercase"))


def set_case(tokenizer: Any, lower_case: bool, where: str) -> None:
    """Has the tokenizer lower-case its text, or leave it; `where` names the setting in errors.

    Raises ValueError for a tokenizer with another normaliser than BERT's, and where capitals are asked of a
    vocabulary that has none: they would all be unknown.
    """
    if lower_cases(tokenizer) == lower_case:
        return
    normalizer = tokenizer.backend_tokenizer.normalizer
    if not isinstance(normalizer, normalizers.BertNormalizer):
        kind = "no normaliser" if normalizer is None else f"the normaliser {type(normalizer).__name__}"
        raise ValueError(f"{where}: {lower_case}, and the tokenizer has {kind}; expected BERT's, or null")
    special = set(tokenizer.all_special_tokens)
    if not lower_case and not any(token != token.lower() for token in tokenizer.get_vocab() if token not in special):
        raise ValueError(f"{where}: false, and the vocabulary has no capital letter; expected a cased vocabulary")
    normalizer.lowercase = lower_case
    tokenizer.backend_tokenizer.normalizer = normalizer
    # what transformers makes the normaliser of when it loads: the attribute, where there is one, is what it saves
    tokenizer.init_kwargs["do_lower_case"] = lower_case
    if hasattr(tokenizer, "do_lower_case"):
        tokenizer.do_lower_case = lower_case
