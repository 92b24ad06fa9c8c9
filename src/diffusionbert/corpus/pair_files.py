"""Files of pairs: DiffuSeq's jsonl, `{"src": ..., "trg": ...}` a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

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
    num_pairs = 0
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
                continue
            num_pairs += 1
            yield pair
    if num_pairs == 0:
        raise ValueError(f"{path}: no pair in it; expected one a line ({key})")


def _pair(line: bytes, number: int, fields: tuple[str, str]) -> tuple[str, str]:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        found = f"is not UTF-8 (byte 0x{line[error.start]:02x} at {error.start})"
        raise _BadLineError("not_utf8", found) from None
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise _BadLineError("not_json", f"is not JSON ({error.msg})") from None
    halves: list[str] = []
    for field, reason in zip(fields, ("no_source", "no_target"), strict=True):
        value = record.get(field) if isinstance(record, dict) else None
        if not isinstance(value, str):
            raise _BadLineError(reason, f"has no text under '{field}'; expected {' and '.join(fields)}")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise _BadLineError("not_utf8", f"has half a character under '{field}' (a lone surrogate)")
        halves.append(value)
    if not halves[1].strip():
        raise _BadLineError("empty_target", f"has an empty '{fields[1]}'; expected a target")
    return halves[0], halves[1]
