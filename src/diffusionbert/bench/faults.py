"""What `make test-faults` saw, as a section of docs/benchmarks.md."""

from __future__ import annotations

from typing import Any


def fault_section(result: dict[str, Any]) -> list[str]:
    """Markdown of the kills and of the other faults."""
    kills, machine = result["kills"], result["machine"]
    return [
        "## Faults\n",
        f"`make test-faults SEED={result['seed']}`, {result['seconds']} s on {machine['cores']} cores, load per core "
        f"at the end {machine['load_per_core']:.2f}; what to do about each fault is in [faults.md](faults.md).\n",
        *_kills(kills),
        "| fault | times | what was seen |\n|---|--:|---|\n"
        + "".join(
            f"| {row['what']} | {row['times']} | {row['seen'].replace('|', '/')} |\n" for row in result["faults"]
        ),
    ]


def _kills(kills: dict[str, Any]) -> list[str]:
    locks = ", ".join(f"{what} {times} times" for what, times in kills["left_locks"].items()) or "none"
    told = ", ".join(f"{times} {how}" for how, times in kills["told"].items()) or "nothing"
    engines = list(next(iter(kills["hits"].values())))
    rows = [
        f"| {family} | " + " | ".join(str(by[name]) for name in engines) + " |" for family, by in kills["hits"].items()
    ]
    return [
        f"{kills['kills']} times SIGKILL to engine, stages and workers of the `engines` profile at random moments of "
        f"successive reruns, in {kills['rounds']} rounds from nothing to the report; {kills['between_stages']} of them "
        f"while no stage was at work. Results and entries of dvc.lock that differ from the undisturbed run's, timings "
        f"aside: {kills['differences']}. Stages begun: {kills['stages_begun']}. Left behind: {kills['left_aside']} "
        f"half-written files or folders, all gone at the end; locks: {locks}. Told by `make run`: {told}. Files that "
        f"the undisturbed clone has not: {len(kills['strange_files'])}.\n",
        "\n".join([f"| stages killed at work | {' | '.join(engines)} |", "|---|" + "--:|" * len(engines), *rows])
        + "\n",
    ]
