"""A Slurm of two nodes on this machine's loopback, for as long as a `with` lasts: `make test-slurm`.

The daemons are Debian's, started by hand with a configuration, a key and sockets in a temporary folder, so that
nothing of the system is touched but the packages. One `slurmd` a node; each node has a made-up GPU.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
DAEMONS = ("munged", "slurmctld", "slurmd")
NODES = ("one", "two")
CORES = 2  # of each node
LONGEST_START = 60.0

# No accounting, as on a fresh Slurm: that case needs the most care. Nothing is confined, memory is not counted, and a
# node may have more cores than there are (`config_overrides`): a job's requests decide where and when it starts.
CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2
ReturnToService=2
KillWait=30
GresTypes=gpu
{nodes}
PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} RealMemory=262144 Gres=gpu:1"


class UnavailableError(Exception):
    """Slurm cannot be had here; the message is one line."""


def install() -> None:
    """Debian's packages, where the daemons are not there yet.

    Raises UnavailableError where that needs root or apt, or where apt has them not.
    """
    missing = [name for name in DAEMONS if shutil.which(name) is None]
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        raise UnavailableError("needs root, to start Slurm's daemons")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise UnavailableError(f"needs {', '.join(missing)}, and there is no apt-get to install them")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", *words], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"apt-get {words[0]}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")


@contextmanager
def started(folder: Path) -> Iterator[Mapping[str, str]]:
    """Starts the daemons, waits until the nodes are idle, yields what to add to the environment; stops them at the end.

    Raises RuntimeError with the end of the logs when the nodes do not come up.
    """
    folder.mkdir(parents=True)
    (folder / "state").mkdir()
    _configure(folder)
    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    munged = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket"]
    munged += [f"--{name}-file={folder}/munged.{name}" for name in ("log", "pid", "seed")]
    with ExitStack() as running:
        _start(running, folder, environment, munged)
        _wait(lambda: (folder / "munge.socket").exists(), folder)
        _start(running, folder, environment, ["slurmctld", "-D"])
        for name in NODES:
            _start(running, folder, environment, ["slurmd", "-D", "-N", name])
        _wait(lambda: idle(environment) == set(NODES), folder)
        try:
            yield environment
        finally:
            _cancel(environment)


def _cancel(environment: Mapping[str, str]) -> None:
    """Ends every job and waits for that, since a job outlives the daemon that started it."""
    subprocess.run(["scancel", "--full", "--user=root"], env=os.environ | environment, check=False)
    deadline = time.monotonic() + LONGEST_START
    while idle(environment) != set(NODES) and time.monotonic() < deadline:
        time.sleep(0.2)


def idle(environment: Mapping[str, str]) -> set[str]:
    """The nodes that take jobs and have none."""
    words = ["sinfo", "--noheader", "--Node", "--format=%N %t"]
    done = subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=False)
    return {name for name, state in (line.split() for line in done.stdout.splitlines()) if state == "idle"}


def _configure(folder: Path) -> None:
    """Writes the key and the configuration."""
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    host = socket.gethostname().split(".")[0]
    controller, *ports = _free_ports(1 + len(NODES))
    nodes = [NODE.format(name=name, host=host, port=port, cores=CORES) for name, port in zip(NODES, ports, strict=True)]
    text = CONFIGURATION.format(
        folder=folder, host=host, controller=controller, nodes="\n".join(nodes), names=",".join(NODES)
    )
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    # A device file, any, is what makes Slurm set CUDA_VISIBLE_DEVICES.
    gres = [f"NodeName={name} Name=gpu File=/dev/null" for name in NODES]
    (folder / "gres.conf").write_text("\n".join([*gres, ""]), encoding="utf-8")


def _free_ports(number: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _start(running: ExitStack, folder: Path, environment: Mapping[str, str], words: list[str]) -> None:
    out = running.enter_context((folder / f"{words[0]}.out").open("a"))
    process = subprocess.Popen(words, env=os.environ | environment, stdout=out, stderr=out)
    running.callback(_stop, process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(ready: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + LONGEST_START
    while not ready():
        if time.monotonic() > deadline:
            logs = [
                f"{path.name}: {path.read_text(errors='replace')[-600:]}" for path in sorted(folder.glob("*.[lo]*"))
            ]
            raise RuntimeError("Slurm does not come up\n" + "\n".join(logs))
        time.sleep(0.2)
