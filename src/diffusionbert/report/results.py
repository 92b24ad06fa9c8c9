"""results/<profile>/ as read: every file of every arm that is there, None for what was not run.

Everything is checked to be finite here, once: a NaN in a result is an error that names its file, never a
cell.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusionbert.config import Arm, Params, load
from diffusionbert.files import read_json
from diffusionbert.report.key import lock_key
from diffusionbert.report.paper import Design

SETTINGS = "params.yaml"  # written beside the pages: what makes results readable without the profile's own file
Values = dict[str, Any]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class ArmResults:
    """One arm: its row in params and what each stage left of it."""

    name: str
    arm: Arm
    train: Values | None
    history: Rows | None
    validation: Rows | None
    evaluate: Values | None
    sample: Values | None
    samples: Rows | None
    scores: Values | None
    paired: Values | None
    orders: Values | None
    packed: bool = False  # its rows are blocks of several sentences

    @property
    def label(self) -> str:
        return self.arm.label

    @property
    def design(self) -> Design:
        return design_of(self.arm)

    @property
    def group(self) -> str | None:
        """Device, dtype and threads of its results, and whether its rows are packed; only equal groups are compared.

        None when nothing was run.
        """
        stages = (("trained", self.train), ("scored", self.evaluate), ("sampled", self.sample))
        places = {name: _place(values) for name, values in stages if values is not None}
        if not places:
            return None
        if len(set(places.values())) == 1:
            told = next(iter(places.values()))
        else:
            told = "; ".join(f"{name} on {place}" for name, place in places.items())
        return f"{told}; packed rows" if self.packed else told


def design_of(arm: Arm) -> Design:
    """A schedule or a time design that the settings leave out is the linear one and none (TAD).

    Diffusion-LM's time embedding enters at its input, which the paper's table calls LTE; training in continuous time
    (MDLM) is a design that the paper has no row for.
    """
    settings = arm.settings
    init = settings.get("init")
    if arm.system == "diffusion_lm":
        return Design(arm.system, init, settings.get("schedule", "cosine"), settings.get("time", "lte"))
    if arm.system != "absorbing":
        return Design(arm.system, init, settings.get("schedule"), settings.get("time"))
    schedule = settings.get("schedule", "linear")
    if settings.get("continuous"):
        schedule = f"{schedule} in continuous time"
    return Design(arm.system, init, schedule, settings.get("time", "tad"))


@dataclass(frozen=True)
class Results:
    params: Params
    arms: list[ArmResults]
    corpus: Values | None
    tokenize: dict[str, Values]
    information: dict[str, Values]
    zipf: dict[str, Rows]
    spindle: dict[str, Values]
    curves: dict[str, Rows]
    metrics: Values | None
    audit: Values | None
    generative: Values | None
    key: str
    beside: Results | None = None  # another profile's results, shown in a section of their own
    pairs: Values | None = None  # of a corpus of pairs: the scores of what was generated
    pairs_beside: Results | None = None  # those of the profile `pairs`, in a section of their own

    @property
    def is_conditional(self) -> bool:
        """Whether the corpus has pairs, so that targets of given sources are scored and generated."""
        return self.params.corpus.source == "pairs"

    def arm(self, name: str | None) -> ArmResults | None:
        return next((arm for arm in self.arms if arm.name == name), None)


def read_profile(folder: Path, lock: Path) -> Results | None:
    """Another profile's results by the settings that lie with them; None where there are none."""
    settings = folder / SETTINGS
    return read_results(folder, load(settings), lock) if settings.exists() else None


def read_results(
    folder: Path, params: Params, lock: Path, beside: Results | None = None, pairs_beside: Results | None = None
) -> Results:
    """Reads what is under results/<profile>/; `lock` is the dvc.lock that made it.

    Raises ValueError naming the file when one is damaged or holds a number that is not finite.
    """
    tokenizers = sorted(params.tokenizers)
    metrics = _json(folder / "metrics" / "metrics.json")
    return Results(
        params=params,
        arms=[_arm(folder, name, params, metrics or {}) for name in params.arms],
        corpus=_json(folder / "corpus" / "metrics.json"),
        tokenize=_each(folder / "tokenize", tokenizers, "metrics.json"),
        information=_each(folder / "information", tokenizers, "metrics.json"),
        zipf=_each(folder / "information", tokenizers, "zipf.csv"),
        spindle=_each(folder / "spindle", tokenizers, "metrics.json"),
        curves=_each(folder / "spindle", tokenizers, "curves.csv"),
        metrics=metrics,
        audit=_json(folder / "audit" / "metrics.json"),
        generative=_json(folder / "generative" / "metrics.json"),
        key=lock_key(lock, params),
        beside=beside,
        pairs=_json(folder / "pairs" / "metrics.json"),
        pairs_beside=pairs_beside,
    )


def _arm(folder: Path, name: str, params: Params, metrics: Values) -> ArmResults:
    arm = params.arms[name]
    return ArmResults(
        name=name,
        arm=arm,
        train=_json(folder / "train" / name / "metrics.json"),
        history=_csv(folder / "train" / name / "history.csv"),
        validation=_csv(folder / "train" / name / "validation.csv"),
        evaluate=_json(folder / "evaluate" / name / "metrics.json"),
        sample=_json(folder / "sample" / name / "metrics.json"),
        samples=_jsonl(folder / "sample" / name / "samples.jsonl"),
        scores=metrics.get("arms", {}).get(name),
        paired=metrics.get("paired", {}).get(name),
        orders=metrics.get("orders", {}).get(name),
        packed=params.tokenizers[arm.tokenizer].packed,
    )


def _each(folder: Path, names: list[str], file: str) -> dict[str, Any]:
    read = _csv if file.endswith(".csv") else _json
    found = {name: read(folder / name / file) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _json(path: Path) -> Values | None:
    if not path.exists():
        return None
    return _finite(read_json(path), path)


def _jsonl(path: Path) -> Rows | None:
    if not path.exists():
        return None
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not one JSON object a line: {error}") from None


def _csv(path: Path) -> Rows | None:
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{key: _cell(value) for key, value in row.items()} for row in csv.DictReader(file)]
    return _finite(rows, path)


def _cell(text: str) -> float | str | None:
    if text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _finite(value: Any, path: Path, key: str = "") -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path}: {key.lstrip('.')} is {value}; expected a finite number")
    if isinstance(value, dict):
        for name, each in value.items():
            _finite(each, path, f"{key}.{name}")
    if isinstance(value, list):
        for number, each in enumerate(value):
            _finite(each, path, f"{key}.{number}")
    return value


def _place(values: Values) -> str:
    threads = values.get("threads")
    plural = "" if threads == 1 else "s"
    device = values.get("device_name") or values.get("device")
    return f"{device}, {values.get('dtype')}, {threads} thread{plural}"
