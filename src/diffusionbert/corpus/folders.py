"""Folders of one's own, named in params by path and content, so that another content is another setting."""

from __future__ import annotations

import hashlib
from pathlib import Path

from diffusionbert.files import sha256


def checked_folder(key: str, name: str, expected: str) -> Path:
    """The folder `name` that params name under `key`.

    Raises ValueError when there is none or when its sum is not the expected one.
    """
    folder = Path(name)
    if not folder.is_dir():
        raise ValueError(f"{key}.name: no folder {name}")
    found = sha256_of_folder(folder)
    if found != expected:
        raise ValueError(f"{key}: {name} has sha256 {found}; expected {expected}; if it was meant to change, say so")
    return folder


def sha256_of_folder(folder: Path) -> str:
    """The sum over the names and sums of all files in it, whatever their times and whoever lists them."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256(path)}\n".encode())
    return digest.hexdigest()
