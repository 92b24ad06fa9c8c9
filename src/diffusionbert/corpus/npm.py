"""Tarballs of npm's registry used as data archives: fetched by `npm pack`, which installs nothing and runs nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

_PREFIX = re.compile(r"^npm (error|ERR!)\s*")
_NOT_THE_FAULT = re.compile(r"^(code|syscall|errno)\b|^A complete log|^$")
_RETRIES = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]


def cached(name: str, version: str, cache: Path) -> Path | None:
    """The tarball of exactly that version, where it lies in `cache`."""
    tarball = cache / tarball_name(name, version)
    return tarball if tarball.is_file() else None


def tarball_name(name: str, version: str) -> str:
    """As `npm pack` calls it: a scope, `@scope/name`, becomes a part of the name."""
    return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"


def download(name: str, version: str, folder: Path, cache: Path) -> Path:
    """The tarball in `folder`; what is told of `cache` is where to put one by hand.

    Raises OSError, one line that says what else will do, when there is no npm or it cannot fetch the tarball.
    """
    wanted, tarball = f"{name}@{version}", tarball_name(name, version)
    by_hand = f"run `npm pack {wanted}` on another machine and copy {tarball} to {cache}"
    program = shutil.which("npm")
    if program is None:
        raise OSError(f"packages.{name}: npm, which fetches {wanted}, is not installed here; install it, or {by_hand}")
    print(f"fetching {wanted} through npm", file=sys.stderr, flush=True)
    # --ignore-scripts: what a package would run before it is packed is code that nobody here has read
    command = [program, "pack", wanted, "--ignore-scripts", "--no-update-notifier", "--no-color", *_RETRIES]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (folder / tarball).is_file():
        raise OSError(
            f"packages.{name}: npm could not fetch {wanted} ({_fault(done.stderr)}); if the registry is out of reach, "
            f"{by_hand}"
        )
    return folder / tarball


def read_members(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """The content of the named files of a tarball, in one pass and without extracting anything.

    Raises ValueError naming the archive when it is no gzipped tarball or has not one of them.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                if member.name in names and (file := tar.extractfile(member)) is not None:
                    found[member.name] = file.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{archive}: {error}; expected a gzipped tarball, as npm packs it") from None
    for name in names:
        if name not in found:
            raise ValueError(f"{archive}: has no member '{name}'")
    return found


def _fault(stderr: str) -> str:
    """What npm names as the fault, of many lines."""
    told = [_PREFIX.sub("", line).strip() for line in stderr.splitlines() if _PREFIX.match(line)]
    return next((line for line in told if not _NOT_THE_FAULT.match(line)), told[0] if told else "no tarball came")
