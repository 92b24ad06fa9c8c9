"""Profiles: small overlays on profiles/default.yaml, merged into params.yaml.

The rule of an overlay. A mapping of settings is merged key by key; the sections whose keys are names (`arms`,
`tokenizers`, `backbones`, `packages`) are taken whole when an overlay has them; an overlay may lie upon another, which
its key `upon` names; a key set to null is removed, and an optional setting that is removed is null. Lists, numbers and
strings replace; of the default's lists of arms (`frontier.arms`, `speed.arms`) those stay that an overlay with arms of
its own still has, and where it leaves out the one that the default names as `generative.arm` and names none, there is
none.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from diffusionbert.config import Params, parse
from diffusionbert.files import write_text

NAMED = ("arms", "tokenizers", "backbones", "packages")
CHOOSING = ("frontier", "speed")  # sections with a list of arms
WRITTEN = Path(".cache/params.sha256")  # what was last written to params.yaml


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "profiles").glob("*.yaml"))


def merged(folder: Path, profile: str, arms: Sequence[str] = ()) -> tuple[str, Params]:
    """The text of params.yaml under a profile, and what it says, checked; for `default` a copy of the file.

    Raises ValueError naming the file and the key when the profile or an arm is unknown or a setting is wrong.
    """
    if profile not in names(folder):
        raise ValueError(f"PROFILE: found '{profile}'; expected one of {', '.join(names(folder))}")
    default = folder / "profiles" / "default.yaml"
    path = folder / "profiles" / f"{profile}.yaml"
    data = _load(default)
    for overlay in _overlays(folder, profile):
        _lay(data, overlay, named=NAMED)
        if "arms" in overlay:
            _choose_among(data, [section for section in CHOOSING if "arms" not in (overlay.get(section) or {})])
        if "arms" in overlay and "generative" not in overlay:
            _drop_judge(data)
    if arms:
        keep_arms(data, arms)
    params = parse(_plain(data), where=str(path))
    if path == default and not arms:
        return default.read_text(encoding="utf-8"), params
    command = f"make run PROFILE={profile}" + (f" ARMS={','.join(arms)}" if arms else "")
    head = f"Written by `{command}`: profiles/default.yaml under profiles/{profile}.yaml.\n"
    data.yaml_set_start_comment(head)
    stream = io.StringIO()
    _yaml().dump(data, stream)
    return stream.getvalue(), params


def _overlays(folder: Path, profile: str, above: Sequence[str] = ()) -> list[CommentedMap]:
    """What is laid on default.yaml, the lowest first: the overlay, below it the one that its key `upon` names.

    Raises ValueError naming the file when it says another name than its own, or lies upon none that there is.
    """
    if profile == "default":
        return []
    path = folder / "profiles" / f"{profile}.yaml"
    overlay = _load(path)
    if overlay.get("profile") != profile:
        found = overlay.get("profile")
        raise ValueError(f"{path}: profile: found {found!r}; expected the file's name, '{profile}'")
    upon = overlay.pop("upon", "default")
    others = [name for name in names(folder) if name not in (profile, *above)]
    if upon not in others:
        raise ValueError(f"{path}: upon: found '{upon}'; expected one of {', '.join(others)}")
    return [*_overlays(folder, upon, (profile, *above)), overlay]


def _lay(under: CommentedMap, over: CommentedMap, named: Sequence[str] = ()) -> None:
    """Lays the overlay `over` on `under`, in place; a comment beside a value of the overlay comes with it."""
    for key, value in over.items():
        if value is None:
            under.pop(key, None)
        elif isinstance(value, CommentedMap) and isinstance(under.get(key), CommentedMap) and key not in named:
            _lay(under[key], value)
        else:
            under[key] = value
            if key in over.ca.items:
                under.ca.items[key] = over.ca.items[key]


def keep_arms(data: dict[str, Any], arms: Sequence[str]) -> None:
    """Drops the arms that are not named, in place, with whatever only they named.

    Raises ValueError naming the known arms when one is unknown.
    """
    known = data["arms"]
    for name in arms:
        if name not in known:
            raise ValueError(f"ARMS: found '{name}'; expected some of {', '.join(known)}")
    for name in [name for name in known if name not in arms]:
        del known[name]
    for arm in known.values():
        for key in ("baseline", "replicate_of"):
            if arm.get(key) not in known:
                arm.pop(key, None)
    _drop_judge(data)
    _choose_among(data, CHOOSING)
    for section, key in (("tokenizers", "tokenizer"), ("backbones", "backbone")):
        named = {arm[key] for arm in known.values()}
        for name in [name for name in data[section] if name not in named]:
            del data[section][name]


def _choose_among(data: dict[str, Any], sections: Sequence[str]) -> None:
    """Leaves in the sections' `arms` those that there are, in place; the first of all where none is left."""
    for section in sections:
        if named := data[section].get("arms"):
            data[section]["arms"] = [name for name in named if name in data["arms"]] or list(data["arms"])[:1]


def _drop_judge(data: dict[str, Any]) -> None:
    """Removes the arm that `generative` scores under where it is none of the arms."""
    judge = data.get("generative", {})
    if judge.get("arm") not in data["arms"]:
        judge.pop("arm", None)


def write(folder: Path, text: str) -> None:
    """Writes params.yaml, unless that would lose edits that are neither committed nor this tool's own.

    Raises ValueError with the ways out.
    """
    path = folder / "params.yaml"
    if path.exists():
        found = path.read_text(encoding="utf-8")
        default = (folder / "profiles" / "default.yaml").read_text(encoding="utf-8")
        if found not in (text, default, _committed(folder)) and _digest(found) != _last_written(folder):
            raise ValueError(
                f"{path.name}: has edits that are not committed; expected none, as this run would overwrite"
                " them. Keep them as an overlay profiles/<name>.yaml, commit them, or drop them (git checkout"
                " params.yaml); `dvc repro` and `snakemake --cores 2` run the file as it stands"
            )
        if found == text:
            return
    write_text(path, text)
    write_text(folder / WRITTEN, _digest(text) + "\n")


def _committed(folder: Path) -> str | None:
    command = ["git", "show", "HEAD:./params.yaml"]
    shown = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return shown.stdout.decode("utf-8") if shown.returncode == 0 else None


def _last_written(folder: Path) -> str | None:
    path = folder / WRITTEN
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.width = 120
    yaml.preserve_quotes = True
    return yaml


def _load(path: Path) -> CommentedMap:
    try:
        data = _yaml().load(path.read_text(encoding="utf-8"))
    except YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, CommentedMap):
        raise ValueError(f"{path}: expected a mapping of sections, found {type(data).__name__}")
    return data


def _plain(data: Any) -> Any:
    """Without the round trip's types, which strict models refuse."""
    stream = io.StringIO()
    _yaml().dump(data, stream)
    return YAML(typ="safe", pure=True).load(stream.getvalue())
