"""Reads params.yaml, and tells what is wrong in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from diffusionbert.config.params import Params
from diffusionbert.config.section import ConfigError


def parse(data: Any, where: str = "params.yaml") -> Params:
    """Checks a mapping against the schema.

    Raises ConfigError with one line per fault: file, key, what was found, what was expected.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected a mapping of sections, found {type(data).__name__}")
    try:
        return Params.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(lines_of(error, where))) from None


def lines_of(error: ValidationError, where: str, section: str = "") -> list[str]:
    """One line per fault, naming the file (`where`) and the key, below `section` where one is given."""
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in (section, *fault["loc"]) if part != "") or "(all of it)"
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            lines.append(f"{where}: {key}: unknown key; is it misspelt?")
        elif fault["type"] == "missing":
            lines.append(f"{where}: {key}: missing")
        elif fault["type"] == "value_error":
            lines.append(f"{where}: {key}: {fault['ctx']['error']}")
        else:
            lines.append(f"{where}: {key}: found {fault['input']!r}; {fault['msg'][0].lower()}{fault['msg'][1:]}")
    return lines


def read_yaml(path: Path) -> Any:
    """The file's content, YAML 1.2 (`1e-3` is a number); duplicate keys are an error.

    Raises ConfigError naming the file when it is missing, not UTF-8 or not YAML.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 (byte {error.start})") from None
    except YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def load(path: Path) -> Params:
    """params.yaml, checked."""
    return parse(read_yaml(path), where=str(path))
