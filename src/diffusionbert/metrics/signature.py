"""What a score must be told with, so that two scores are compared only if they are comparable."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from diffusionbert.words import CASE, TOKENISATION

VERSION = "1"  # of the metrics' definitions; raised when a number would change


@dataclass(frozen=True)
class Signature:
    """One score's settings; `note` says in words what the numbers cannot."""

    score: str
    n: int
    samples: int
    references: int | None  # None where there is none, as in distinct-n
    seed: int
    note: str
    smoothing: str | None = None
    tokenisation: str = TOKENISATION
    case: str = CASE
    version: str = VERSION

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"text": str(self)}

    def __str__(self) -> str:
        parts = {
            "tok": self.tokenisation,
            "case": self.case,
            "n": self.n,
            "smooth": self.smoothing,
            "refs": self.references,
            "samples": self.samples,
            "seed": self.seed,
            "v": self.version,
        }
        return "|".join([self.score, *(f"{key}:{value}" for key, value in parts.items() if value is not None)])
