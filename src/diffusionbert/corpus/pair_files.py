"""Files of pairs: DiffuSeq's jsonl, `{"src": ..., "trg": ...}` a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from diffusionbert.corpus.sentences import normalize_space

Told = Callable[[str], None]


class _BadLineError(ValueError):
    """A line that is no pair: why, in one word, and what was found."""

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(found)
        self.reason = reason


def read(path: Path, fields: tuple[str, str], key: str, bad: Told | None = None) -> Iterator[tuple[str, str]]:
    """The sources and targets of the file; `key` names the setting in errors.

    Raises ValueError naming file and line of one that is no pair; where `bad` is given it is told the reason instead,
    and the line is left out.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file ({key})")
    if not path.name.endswith(".jsonl"):
        raise ValueError(f"{path}: unknown kind of file; expected .jsonl ({key})")
    num_pairs, left_out = 0, Counter[str]()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                pair = _pair(line, number, fields)
            except _BadLineError as error:
                if bad is None:
                    raise ValueError(f"{path}: line {number} {error}") from None
                bad(error.reason)
                left_out[error.reason] += 1
                continue
            num_pairs += 1
            yield pair
    if num_pairs == 0:
        reasons = ", ".join(f"{reason} {number}" for reason, number in sorted(left_out.items()))
        told = f" ({left_out.total()} lines left out: {reasons})" if reasons else ""
        raise ValueError(f"{path}: no pair in it{told}; expected one a line ({key})")


def _pair(line: bytes, number: int, fields: tuple[str, str]) -> tuple[str, str]:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        found = f"is not UTF-8 (byte 0x{line[error.start]:02x} at {error.start})"
        raise _BadLineError("not_utf8", found) from None
    try:
        # no number is read, and Python refuses to make an integer of very many digits
        record = json.loads(text, object_pairs_hook=_object, parse_int=float)
    except json.JSONDecodeError as error:
        raise _BadLineError("not_json", f"is not JSON ({error.msg})") from None
    except RecursionError:
        raise _BadLineError("not_json", "is JSON nested too deeply; expected one object") from None
    halves: list[str] = []
    for field, reason in zip(fields, ("no_source", "no_target"), strict=True):
        value = record.get(field) if isinstance(record, dict) else None
        if not isinstance(value, str):
            raise _BadLineError(reason, f"has no text under '{field}'; expected {' and '.join(fields)}")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise _BadLineError("not_utf8", f"has half a character under '{field}' (a lone surrogate)")
        halves.append(value)
    if not normalize_space(halves[1]):
        raise _BadLineError("empty_target", f"has an empty '{fields[1]}'; expected a target")
    return halves[0], halves[1]


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, of which a key that stands there twice would else be the last one without a word."""
    found: dict[str, Any] = {}
    for key, value in members:
        if key in found:
            raise _BadLineError("duplicate_key", f"has '{key}' twice; expected each key once")
        found[key] = value
    return found
