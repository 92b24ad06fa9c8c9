"""Stages started by a process that has the libraries loaded: what executes, without six seconds of imports each.

The engines start `python`. First in PATH stands a script of that name, which hands its arguments, folder,
environment and streams to a server and waits for the exit status. The server has loaded the libraries, nothing of
the project, and forks for each stage; whatever is not a stage goes to the real Python.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

STAGES = "diffusionbert.stages."
LIBRARIES = (  # what the stages take seconds to import
    *("torch._dynamo", "transformers.models.bert.modeling_bert", "transformers.models.auto.modeling_auto"),
    *("transformers.models.auto.tokenization_auto", "pandas", "pyarrow.parquet", "pydantic", "matplotlib.pyplot"),
)
CHUNK = 1 << 16
STARTER = """\
#!{python} -IS
import json, os, socket, sys
if sys.argv[1:2] != ["-m"] or not sys.argv[2].startswith({stages!r}):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
request = {{"argv": sys.argv[2:], "folder": os.getcwd(), "environment": dict(os.environ)}}
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
    server.shutdown(socket.SHUT_WR)
    status = server.recv(1)
sys.exit(status[0] if status else 137)  # nothing comes from a stage that was killed
"""


@contextmanager
def started() -> Iterator[Path]:
    """Runs the server; yields the folder that has to come first in PATH."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own may be too long a name for a socket
        starter = Path(folder, "python")
        address = str(Path(folder, "socket"))
        starter.write_text(STARTER.format(python=sys.executable, stages=STAGES, address=address), encoding="utf-8")
        starter.chmod(starter.stat().st_mode | stat.S_IXUSR)
        with _server(address):
            yield starter.parent


@contextmanager
def _server(address: str) -> Iterator[None]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, __file__, address]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield


def serve(address: str) -> None:
    """Forks for every request, until the tests close its standard input or are gone."""
    for name in LIBRARIES:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks: they answer themselves
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                answer(connection)
            connection.close()


def answer(connection: socket.socket) -> None:
    """Runs one stage as `python -m` would, and ends this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, streams, _, _ = socket.recv_fds(connection, CHUNK, 3)
    while more := connection.recv(CHUNK):
        data += more
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        status = run(json.loads(data))
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.send(bytes([status]))
        os._exit(status)


def run(request: dict[str, Any]) -> int:
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["argv"]
    sys.path[:1] = [request["folder"], *filter(None, request["environment"].get("PYTHONPATH", "").split(os.pathsep))]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])
