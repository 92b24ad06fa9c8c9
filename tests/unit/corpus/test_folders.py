"""A folder named by path and content: another content is refused, another place or time is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from diffusionbert.corpus.folders import checked_folder, sha256_of_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model/deep").mkdir(parents=True)
    (tmp_path / "model/weights").write_text("1")
    (tmp_path / "model/deep/settings").write_text("2")
    return tmp_path / "model"


def test_place_and_times_do_not_matter(folder: Path, tmp_path: Path) -> None:
    expected = sha256_of_folder(folder)
    other = shutil.copytree(folder, tmp_path / "elsewhere")
    os.utime(other / "weights", (1, 1))
    assert checked_folder("backbones.x", str(other), expected) == other


@pytest.mark.parametrize("change", ["content", "name", "new"])
def test_another_content_is_refused(folder: Path, change: str) -> None:
    expected = sha256_of_folder(folder)
    if change == "content":
        (folder / "deep/settings").write_text("3")
    elif change == "name":
        (folder / "weights").rename(folder / "heavy")
    else:
        (folder / "more").touch()
    with pytest.raises(ValueError, match=rf"backbones\.x: {folder} has sha256 \w+; expected {expected}"):
        checked_folder("backbones.x", str(folder), expected)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"backbones\.x\.name: no folder"):
        checked_folder("backbones.x", str(tmp_path / "nothing"), "0" * 64)
