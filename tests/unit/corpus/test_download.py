"""A file from a URL, over a loopback server that cuts the line: whole with its sum, or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import multiprocessing
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from diffusionbert.corpus.download import fetch, user_cache

DATA = bytes(range(256)) * 400
SUM = hashlib.sha256(DATA).hexdigest()


class _Server(ThreadingHTTPServer):
    """Serves DATA, at most `cut` bytes of an answer; knows ranges, or does not."""

    cut = len(DATA)
    ranges = True
    held: threading.Event | None = None  # half of an answer is sent, and the rest when this is set
    asked: list[str | None]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(DATA):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        data = DATA[start : start + self.server.cut]
        self.wfile.write(data[: len(data) // 2])
        if self.server.held is not None:
            self.server.held.wait()
        self.wfile.write(data[len(data) // 2 :])

    def log_message(self, *_: Any) -> None:
        """Tells nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _url(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/data/lm1b.tar.gz"


def test_a_file_is_fetched_once(server: _Server, tmp_path: Path) -> None:
    path = fetch(_url(server), SUM, tmp_path, "k")
    assert path.read_bytes() == DATA
    assert path.name == "lm1b.tar.gz"
    assert fetch(_url(server), SUM, tmp_path, "k") == path
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_line_leaves_no_file_and_the_rest_is_fetched_later(server: _Server, tmp_path: Path, ranges: bool) -> None:
    server.cut, server.ranges = 70_000, ranges
    with pytest.raises(OSError, match=r"k: http://.* could not be fetched \(.*70,000 bytes are kept.*run again"):
        fetch(_url(server), SUM, tmp_path, "k")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".part"]
    server.cut = len(DATA)
    assert fetch(_url(server), SUM, tmp_path, "k").read_bytes() == DATA
    assert server.asked == [None, "bytes=70000-"]


def test_a_part_that_is_all_of_it_is_taken(server: _Server, tmp_path: Path) -> None:
    """Killed between the last byte and the renaming."""
    path = fetch(_url(server), SUM, tmp_path, "k")
    path.rename(path.with_name(f"{path.name}.part"))
    assert fetch(_url(server), SUM, tmp_path, "k").read_bytes() == DATA


def test_another_content_is_refused_and_not_kept(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"k: http://.* has sha256 .*; expected 0000.*; it was thrown away"):
        fetch(_url(server), "0" * 64, tmp_path, "k")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    path = fetch(_url(server), SUM, tmp_path, "k")
    path.write_bytes(DATA[:-1])
    with pytest.raises(ValueError, match=r"k: .*lm1b\.tar\.gz has sha256 .*; delete .*lm1b\.tar\.gz to fetch it again"):
        fetch(_url(server), SUM, tmp_path, "k")


def test_of_two_processes_one_fetches_and_the_other_waits(
    server: _Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.held = threading.Event()
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=fetch, args=(_url(server), SUM, tmp_path, "k")) for _ in range(2)]
    said = ""
    for process in both:
        process.start()
    deadline = time.monotonic() + 60
    while "waiting for the process that fetches" not in said and time.monotonic() < deadline:
        time.sleep(0.05)
        said += capfd.readouterr().err
    server.held.set()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert server.asked == [None]
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert path.read_bytes() == DATA


def test_who_waited_for_a_file_that_was_thrown_away_fetches_it(server: _Server, tmp_path: Path) -> None:
    target = tmp_path / SUM[:16] / "lm1b.tar.gz"
    target.parent.mkdir()
    partial = target.with_name("lm1b.tar.gz.part")
    with partial.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=fetch, args=(_url(server), SUM, tmp_path, "k"))
        waiting.start()
        time.sleep(0.2)  # a thread that has not come so far yet finds no file, and fetches too
        partial.unlink()
    waiting.join()
    assert target.read_bytes() == DATA
    assert not partial.exists()


def test_a_server_that_is_not_there_is_told(server: _Server, tmp_path: Path) -> None:
    url = _url(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match=r"k: http://.* could not be fetched \(.*refused.*put the file into corpora/"):
        fetch(url, SUM, tmp_path, "k")


def test_the_cache_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "diffusionbert"
