"""`make test-remote`: what one clone pushes, another pulls and finds up to date, over a folder and over S3.

The S3 server is a small one on loopback, in an environment of its own, since its pins are not ours. The stages run
once; then each remote is pushed to, `git clone` and `dvc pull` make a second clone, and both engines are asked there.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from workflow.clones import Clone
from workflow.scale import keep

SERVER = "moto[server]==5.2.5"
SERVER_HOME = Path(".cache/s3-server")
BUCKET = "diffusionbert"
# The server asks for a key and takes any.
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
LONGEST_START = 60.0


def main() -> int:
    try:
        server = install_server(SERVER_HOME)
        with tempfile.TemporaryDirectory() as place:
            figures = trial(Path.cwd(), Path(place), server)
    except (ValueError, OSError) as error:
        print(f"error: test-remote: {error}", file=sys.stderr)
        return 1
    keep("remote", figures, told(figures))
    return 0


def trial(root: Path, place: Path, server: Path) -> dict[str, Any]:
    """Seconds and counts of each remote. Raises ValueError where a second clone would run anything."""
    first = Clone(place / "first", KEYS)
    first.prepare(root, "engines")
    ignored = first.folder / ".gitignore"  # this profile's results are to be thrown away; here git has to hold them
    ignored.write_text(ignored.read_text(encoding="utf-8").replace("/results/engines/\n", ""), encoding="utf-8")
    start = time.monotonic()
    first.call("snakemake", "--cores", "2")
    figures: dict[str, Any] = {"stages": len(first.executed()), "run_seconds": round(time.monotonic() - start, 1)}
    print(f"the engines profile: {figures['stages']} stages in {figures['run_seconds']} s", flush=True)
    figures["folder"] = round_trip(first, str(place / "store"), [], place / "by_folder")
    with s3(server, place) as endpoint:
        figures["s3"] = round_trip(first, f"s3://{BUCKET}/store", [("endpointurl", endpoint)], place / "by_s3")
    return figures


def round_trip(first: Clone, url: str, settings: list[tuple[str, str]], folder: Path) -> dict[str, Any]:
    """Push, clone, pull, and both engines: seconds, and what DVC said of the push.

    Raises ValueError where DVC's status is not clean or an engine executes anything.
    """
    first.call("dvc", "remote", "add", "--force", "--default", "store", url)
    for name, value in settings:
        first.call("dvc", "remote", "modify", "store", name, value)
    first.commit(f"results, and the remote {url}")
    start = time.monotonic()
    pushed = first.call("dvc", "push", "--run-cache").strip().splitlines()[-1]
    push, start = time.monotonic() - start, time.monotonic()
    second = replace(first.clone(folder), environment=first.environment)
    second.call("dvc", "pull", "--run-cache")
    pull = time.monotonic() - start
    status = second.call("dvc", "status").strip()
    if status != "Data and pipelines are up to date.":
        raise ValueError(f"{url}: dvc status in the second clone: found '{status}'; expected that all is up to date")
    for words in (["snakemake", "--cores", "2"], ["dvc", "repro"]):
        told = second.call(*words)
        if executed := second.executed():
            raise ValueError(
                f"{url}: {' '.join(words)} in the second clone executed {executed}; expected nothing\n{told}"
            )
    shutil.rmtree(second.folder)
    print(
        f"{url.partition(':')[0] if settings else 'folder'}: {pushed}; push {push:.1f} s, clone and pull {pull:.1f} s"
    )
    return {"pushed": pushed, "push_seconds": round(push, 1), "pull_seconds": round(pull, 1)}


def told(figures: dict[str, Any]) -> str:
    """The figures as docs/scale.md has them."""
    rows = [
        f"| {name} | {figures[key]['pushed']} | {figures[key]['push_seconds']} | {figures[key]['pull_seconds']} |"
        for name, key in (("a folder", "folder"), ("S3", "s3"))
    ]
    return "\n".join(
        [
            f"The profile `engines`, {figures['stages']} stages. In the second clone `dvc status` said that all is up",
            "to date, and neither engine executed a stage.",
            "",
            "| remote | `dvc push --run-cache` | s | `git clone` and `dvc pull --run-cache`, s |",
            "| --- | --- | ---: | ---: |",
            *rows,
        ]
    )


def install_server(home: Path) -> Path:
    """The server's program, in an environment of its own. Raises ValueError where pip cannot have it."""
    program = home / "bin" / "moto_server"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        words = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SERVER]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ValueError(f"{SERVER}: cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return program


@contextmanager
def s3(server: Path, place: Path) -> Iterator[str]:
    """Starts the server on loopback and makes the bucket; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    with (place / "s3.log").open("w") as log:
        words = [str(server), "-H", "127.0.0.1", "-p", str(port)]
        with subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | KEYS) as process:
            try:
                _make_bucket(port, process)
                yield endpoint
            finally:
                process.terminate()


def _make_bucket(port: int, process: subprocess.Popen[bytes]) -> None:
    """PUT /bucket, which is all that making one is. Raises ValueError when the server does not answer."""
    from http.client import HTTPConnection

    deadline = time.monotonic() + LONGEST_START
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("PUT", f"/{BUCKET}", headers={"Host": f"127.0.0.1:{port}"})
            status = connection.getresponse().status
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ValueError("the S3 server does not start") from None
            time.sleep(0.2)
            continue
        finally:
            connection.close()
        if status != 200:
            raise ValueError(f"the S3 server: PUT /{BUCKET}: found status {status}; expected 200")
        return


if __name__ == "__main__":
    sys.exit(main())
