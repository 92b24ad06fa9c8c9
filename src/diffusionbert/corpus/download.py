"""A file from a URL: whole, with its sum, or not at all; what had come before the line broke is not fetched again."""

from __future__ import annotations

import fcntl
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffusionbert.files import sha256

_AT_ONCE = 1 << 20
_SECONDS = 60  # of silence, after which the line counts as broken


def user_cache() -> Path:
    """Where files stand that every clone of the project may use."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "diffusionbert"


def fetch(url: str, sha256_expected: str, cache: Path, key: str) -> Path:
    """The file that the URL names, from `cache` or fetched into it; `key` names the setting in errors.

    Of several processes that want it at once one fetches; the others wait, and take what came.

    Raises ValueError when its sum is not the expected one, OSError when it cannot be had whole.
    """
    target = cache / sha256_expected[:16] / (url.rstrip("/").rsplit("/", 1)[-1] or "file")
    if not target.is_file():
        partial = target.with_name(f"{target.name}.part")
        partial.parent.mkdir(parents=True, exist_ok=True)
        with _alone(partial, target) as to_fetch:
            if to_fetch:
                _download(url, partial, key)
                if (found := sha256(partial)) != sha256_expected:
                    partial.unlink()
                    raise ValueError(f"{key}: {url} has sha256 {found}; expected {sha256_expected}; it was thrown away")
                os.replace(partial, target)
    check_sum(target, sha256_expected, key, remedy=f"; delete {target} to fetch it again")
    return target


def check_sum(path: Path, expected: str, key: str, remedy: str = "") -> None:
    """Raises ValueError, with the remedy, when the file's content is another one."""
    if (found := sha256(path)) != expected:
        raise ValueError(f"{key}: {path} has sha256 {found}; expected {expected}{remedy}")


@contextmanager
def _alone(partial: Path, target: Path) -> Iterator[bool]:
    """Waits until no other process writes `partial`; then whether `target` is still to be fetched.

    The lock is on the file and not on its name: who has waited for one that was thrown away locks the next.
    """
    while True:
        with partial.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting for the process that fetches {target}", file=sys.stderr, flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            if target.is_file():
                if partial.exists() and partial.stat().st_size == 0:  # made above, after the other had renamed its own
                    partial.unlink()
                yield False
                return
            if partial.exists() and os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                yield True
                return


def _download(url: str, partial: Path, key: str) -> None:
    """Appends to what is there already, where the server sends from the middle."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            goes_on = answer.status == 206
            print(f"fetching {url}{f' from byte {have:,}' if goes_on else ''}", file=sys.stderr, flush=True)
            wanted = int(answer.headers.get("Content-Length") or -1)
            with partial.open("ab" if goes_on else "wb") as file:
                while data := answer.read(_AT_ONCE):
                    file.write(data)
                    wanted -= len(data)
                if wanted > 0:
                    raise OSError(f"{wanted:,} bytes are missing")
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # all of it had come before; its sum decides
            return
        raise _unreachable(url, key, f"the server says {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _unreachable(url, key, str(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        came = partial.stat().st_size if partial.exists() else 0
        raise _unreachable(url, key, f"{error}; {came:,} bytes are kept and not fetched again") from None


def _unreachable(url: str, key: str, why: str) -> OSError:
    return OSError(f"{key}: {url} could not be fetched ({why}); run again, or put the file into corpora/ and name it")
