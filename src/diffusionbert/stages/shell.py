"""What every stage does around its one library call: argv, params, threads, tracking, and one clear line on failure."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before anything that might read them is imported: no telemetry of the tools under us.
for _switch in ("HF_HUB_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_switch, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from diffusionbert import tracking  # noqa: E402
from diffusionbert.config import Params, load  # noqa: E402
from diffusionbert.files import write_json  # noqa: E402
from diffusionbert.ranks import rank  # noqa: E402


@dataclass(frozen=True)
class Context:
    """What a stage's body is given."""

    params: Params
    file: Path  # where they stand, for errors
    paths: dict[str, Path]  # the --name PATH arguments
    instance: str | None  # the arm or the tokenizer of this node
    journal: tracking.Journal
    timing: dict[str, float]  # what a stage adds to its timing file


def run(
    stage: str,
    body: Callable[[Context], None],
    argv: Sequence[str] | None,
    *,
    paths: Sequence[str],
    instance: str | None = None,
    sections: Callable[[Params, str | None], dict[str, Any]],
) -> int:
    """Runs one stage; returns the exit status.

    `paths` are the names of the required path arguments, `instance` that of the argument naming the arm or the
    tokenizer, and `sections` picks the params that are tracked. With `--timing FILE` the seconds, the peak memory
    and the hardware of this execution are written there, apart from all results.
    """
    parser = argparse.ArgumentParser(prog=f"python -m diffusionbert.stages.{stage}")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--timing", type=Path)
    for name in paths:
        parser.add_argument(f"--{name}", type=Path, required=True)
    if instance is not None:
        parser.add_argument(f"--{instance}", required=True)
    args = parser.parse_args(argv)
    chosen = getattr(args, instance) if instance is not None else None
    title = stage if chosen is None else f"{stage}@{chosen}"
    if follows := rank() > 0:  # of several processes of one stage the first alone is timed, tracked and counted
        args.timing, title = None, f"{title} (process {rank() + 1})"
    outputs = [getattr(args, name) for name in paths] + ([args.timing] if args.timing else [])
    _take_sigterm()
    try:
        params = load(args.params)
        os.environ["OMP_NUM_THREADS"] = str(params.runtime.threads)
        if not follows:
            _tell_execution(title)
        tracked = tracking.run(stage, chosen, sections(params, chosen), outputs=outputs)
        with nullcontext(tracking.Journal()) if follows else tracked as journal:
            start = time.perf_counter()
            context = Context(params, args.params, {name: getattr(args, name) for name in paths}, chosen, journal, {})
            body(context)
            if args.timing is not None:
                seconds = time.perf_counter() - start
                timing = {"seconds": round(seconds, 3), "peak_memory_mb": _peak_memory_mb(), **context.timing}
                write_json(args.timing, timing | _hardware())
                journal.metrics({"wall_seconds": seconds, "peak_memory_mb": timing["peak_memory_mb"]})
    except (ValueError, OSError) as error:
        for line in str(error).splitlines():
            print(f"error: {title}: {line}", file=sys.stderr)
        return 1
    return 0


def _take_sigterm() -> None:
    """The Snakefile's shells ignore SIGTERM, which a scheduler sends to a whole job, and so would what they start."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _tell_execution(title: str) -> None:
    """Adds a line to the file that DIFFUSIONBERT_EXECUTION_LOG names: what really ran, for the tests of the engines."""
    if name := os.environ.get("DIFFUSIONBERT_EXECUTION_LOG"):
        with open(name, "a", encoding="utf-8") as log:
            log.write(f"{title}\n")


def _peak_memory_mb() -> int:
    scale = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // scale


def _hardware() -> dict[str, Any]:
    """What the timing was taken on, in generic words: a processor's name, never a host's."""
    name = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return {"cores": os.cpu_count(), "processor": name}
