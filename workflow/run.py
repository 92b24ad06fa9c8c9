"""`make run`: params.yaml from a profile, then Snakemake, with progress and an estimate of the time left."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from ruamel.yaml import YAML
from workflow import profiles
from workflow.estimate import Progress, clock, expected_seconds
from workflow.leftovers import alone

from diffusionbert.files import read_json, write_json

SECONDS_BETWEEN_LINES = 30.0
FLAGS = Path(".snakemake/stale")
SECONDS = Path(".cache/seconds.json")  # what each stage took here when it last ran

# What Snakemake says about itself; the jobs' own lines and its errors stay.
CHATTER = re.compile(
    r"^$|^Job 0: |^Using |^Assuming |^Building DAG|^Provided |^Rules claiming|^Job stats|^job +count"
    r"|^-+ +-+$|^\w+ +\d+$|^Select jobs|^Execute \d+ jobs|^\[\w{3} \w{3} .*\]$|^\d+ of \d+ steps"
    r"|^Complete log|^Elapsed time|^Finished jobid|^localrule"
    r"|^    (jobid|resources|input|output|threads|wildcards|log|message): ?"
)
STARTED = re.compile(r"^Job (\d+): (\S+)$")
FINISHED = re.compile(r"^Finished jobid: (\d+) ")
FAILED = re.compile(r"^Error in rule (\w+):")
FAILED_JOB = re.compile(r"^    jobid: (\d+)$")
RESTARTED = re.compile(r"^Trying to restart job (\d+)\.$")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make run")
    parser.add_argument("--profile", default="default")
    parser.add_argument("--arms", default="", help="a,b: only these arms of the profile")
    parser.add_argument("--cores", type=int, default=num_cores())
    parser.add_argument("--on", default="default", help="slurm: where jobs run, a folder of profiles/")
    args = parser.parse_args(argv)
    folder = Path.cwd()
    try:
        check_place(folder, args.on)
        text, params = profiles.merged(folder, args.profile, [name for name in args.arms.split(",") if name])
        with alone(folder):
            profiles.write(folder, text)
            if subprocess.run([sys.executable, "-m", "diffusionbert", "check"], check=False).returncode != 0:
                return 1
            return run(params.profile, args.cores, args.on)
    except (ValueError, OSError) as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1


def check_place(folder: Path, on: str) -> None:
    """Raises ValueError where `on` is none of Snakemake's own profiles, or needs an executor that is not installed."""
    places = {path.parent.name: path for path in (folder / "profiles").glob("*/config.yaml")}
    if on not in places:
        raise ValueError(f"ON: found '{on}'; expected one of {', '.join(sorted(places))}")
    executor = YAML(typ="safe", pure=True).load(places[on].read_text(encoding="utf-8")).get("executor", "local")
    if executor != "local" and find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}") is None:
        package = f"snakemake-executor-plugin-{executor}"
        raise ValueError(f"ON: '{on}' needs {package}, which is not installed: pip install {package}")


def num_cores() -> int:
    """The cores this process may use, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(profile: str, cores: int, on: str = "default") -> int:
    """Runs every stage of params.yaml; returns the exit status. `cores` are this machine's, and count here alone."""
    start = time.monotonic()
    known = expected_seconds(Path("results", profile)) | _seconds().get(profile, {})
    progress = Progress(known=known, cores=cores)
    where = ["--cores", str(cores)] if on == "default" else ["--workflow-profile", on]
    command = [sys.executable, "-m", "snakemake", *where]
    stopped = threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        # Snakemake lets its jobs end and starts no more; without this it would run on, with nobody to tell.
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        ticker = threading.Thread(target=_tell, args=(progress, stopped), daemon=True)
        ticker.start()
        try:
            failed = follow(process.stdout, progress)
            status = process.wait()
        except KeyboardInterrupt:  # Snakemake got it too, and stops its jobs
            process.wait()
            status, failed = 130, []
        stopped.set()
        ticker.join()
    _remember(profile, progress)
    for name in failed:
        print(f"error: {name} failed; its log is {log_of(name)}", file=sys.stderr)
    if status != 0:
        if not failed:
            print("error: Snakemake stopped before any stage failed; see above", file=sys.stderr)
        return status
    if not progress.done:  # the Snakefile records what came from the cache only when there was something to do
        subprocess.run([sys.executable, "-m", "diffusionbert.tracking", "record"], check=False)
    print(f"{profile}: {progress.summary()} in {clock(time.monotonic() - start)}")
    print(f"report: results/{profile}/report.html")
    return 0


def follow(lines: Iterable[str], progress: Progress) -> list[str]:
    """Reads Snakemake's lines, keeps `progress`, prints what a user wants; returns the stages that failed for good."""
    failed: list[str] = []
    in_error = False
    for line in (line.rstrip("\n") for line in lines):
        if started := STARTED.match(line):
            if not progress.names:
                progress.names = _stale()
            progress.started(started[1], started[2])
            print(f"{started[2]}: started ({progress.state()})", flush=True)
            continue
        if (finished := FINISHED.match(line)) and finished[1] in progress.jobs:
            name, seconds = progress.finished(finished[1])
            print(f"{name}: done in {clock(seconds)} ({progress.state()})", flush=True)
            continue
        if (again := RESTARTED.match(line)) and progress.jobs.get(again[1]) in failed:
            failed.remove(progress.jobs[again[1]])
        in_error = in_error or FAILED.match(line) is not None
        if in_error and (job := FAILED_JOB.match(line)):
            failed.append(progress.jobs.get(job[1], f"job {job[1]}"))
            in_error = False
        if in_error or not CHATTER.match(line):
            print(line, flush=True)
    return failed


def _stale() -> list[str]:
    """The stages that the Snakefile found stale: their flags are new."""
    return [path.name for path in FLAGS.glob("*") if path.stat().st_mtime > 1]


def log_of(name: str) -> str:
    return f"logs/{name.replace('@', '/')}.log"


def _tell(progress: Progress, stopped: threading.Event) -> None:
    while not stopped.wait(SECONDS_BETWEEN_LINES):
        print(progress.line(), flush=True)


def _seconds() -> dict[str, dict[str, float]]:
    return read_json(SECONDS) if SECONDS.exists() else {}


def _remember(profile: str, progress: Progress) -> None:
    """Keeps the seconds of the stages that executed; one that DVC took from its cache says nothing."""
    executed = {
        name: round(seconds, 1)
        for name, seconds in progress.done.items()
        if (log := Path(log_of(name))).exists() and "Running stage" in log.read_text(errors="replace")
    }
    if executed:
        seconds = _seconds()
        write_json(SECONDS, seconds | {profile: seconds.get(profile, {}) | executed})


if __name__ == "__main__":
    sys.exit(main())
