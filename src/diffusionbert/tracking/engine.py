"""The engine under which a stage runs: the one that said so, else the topmost ancestor that is Snakemake or DVC."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import psutil

OPTIONS_WITH_VALUE = ("-X", "-W")
DVC_COMMANDS = {"repro", "exp", "experiments", "queue"}
STAGES = "diffusionbert.stages."  # the modules that stages are run as
TOLD = "DIFFUSIONBERT_ENGINE"  # "<id> <kind> <started>"


@dataclass(frozen=True)
class Engine:
    """One call of an engine; its stages share a parent run."""

    id: str
    kind: str
    started: int  # milliseconds since 1970


def tell(environment: MutableMapping[str, str] = os.environ) -> None:
    """Leaves the engine that this process is, or is below, in the environment, for jobs on other nodes."""
    me = psutil.Process()
    if TOLD not in environment and (engine := _topmost([me, *me.parents()])) is not None:
        environment[TOLD] = f"{engine.id} {engine.kind} {engine.started}"


def find() -> Engine | None:
    """What the environment tells, or the topmost engine among this process's ancestors; None for a stage run by hand.

    Topmost, because a job of Snakemake is itself a `dvc repro`.
    """
    if told := re.fullmatch(r"(\S+) (snakemake|dvc) (\d+)", os.environ.get(TOLD, "")):
        return Engine(told[1], told[2], int(told[3]))
    return _topmost(psutil.Process().parents())


def _topmost(processes: Sequence[psutil.Process]) -> Engine | None:
    """The last of these processes, each the parent of the one before, that is an engine."""
    found = None
    for process in processes:
        try:
            kind, created = kind_of(process.cmdline()), process.create_time()
        except psutil.Error:  # it ended meanwhile, or is not ours to look at
            continue
        if kind is not None:
            found = Engine(identity(process.pid, created), kind, round(created * 1000))
    return found


def identity(pid: int, created: float) -> str:
    """A process number is used again by the system; with the second of its start it is unique."""
    return f"{pid}-{int(created)}"


def is_alive(process: str) -> bool:
    """Whether the process of this identity still runs."""
    try:
        pid = int(process.split("-", 1)[0])
        return identity(pid, psutil.Process(pid).create_time()) == process
    except (ValueError, psutil.Error):
        return False


def kind_of(cmdline: Sequence[str]) -> str | None:
    """`snakemake` or `dvc`, when that is what the command line runs, directly or through Python."""
    program, rest = _program(cmdline)
    if program == "snakemake":
        return "snakemake"
    if program == "dvc" and DVC_COMMANDS.intersection(rest):
        return "dvc"
    return None


def stage_of(cmdline: Sequence[str]) -> str | None:
    """`train`, when the command line runs that stage."""
    program, _ = _program(cmdline)
    return program.removeprefix(STAGES) if program.startswith(STAGES) else None


def _program(cmdline: Sequence[str]) -> tuple[str, Sequence[str]]:
    if not cmdline:
        return "", []
    name = PurePath(cmdline[0]).name
    if not name.startswith("python"):
        return name, cmdline[1:]
    position = 1
    while position < len(cmdline) and cmdline[position].startswith("-"):
        option = cmdline[position]
        position += 1
        if option == "-m":
            break
        if option == "-c":
            return name, []
        position += option in OPTIONS_WITH_VALUE
    if position >= len(cmdline):
        return name, []
    return PurePath(cmdline[position]).name, cmdline[position + 1 :]
