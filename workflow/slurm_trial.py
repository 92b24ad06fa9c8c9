"""`make test-slurm`: the ci profile as jobs of a real Slurm on this machine, through profiles/slurm as it stands.

One training is made to fail once before it begins, by a `python` that stands first in PATH, and another is cancelled
in the middle, as preemption and a time limit do it: it must leave its state, and its retry go on from there. Afterwards
DVC's status must be clean, every stage must have executed once, the cancelled one twice, and a second call must find
nothing.
Exit status 77 where Slurm cannot be had: nothing was shown then, and a test that shows nothing must not look passed.
"""

from __future__ import annotations

import re
import shutil
import stat
import sys
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

from workflow import slurm
from workflow.clones import BINARIES, Clone
from workflow.definition import read
from workflow.scale import keep

UNAVAILABLE = 77
FAILS_ONCE, CANCELLED = "d3pm_linear_tad", "d3pm_spindle_tad"
# Slurm takes SLURM_CONF from what it starts; elsewhere its configuration lies where `srun` looks by itself.
SRUN = """\
#!/bin/sh
SLURM_CONF={conf} exec {srun} "$@"
"""
# Tells the node and the GPU that a stage was given; ends the first training of one arm before it begins, and has the
# job of another's cancelled when it holds its lock and has begun its steps.
PYTHON = """\
#!/bin/sh
case "$2" in
diffusionbert.stages.*) echo "$2 $SLURMD_NODENAME ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/placed ;;
esac
case "$*" in
*diffusionbert.stages.train\\ --arm\\ {arm}\\ *)
    if [ ! -e {folder}/failed ]; then touch {folder}/failed; echo "made to fail" >&2; exit 1; fi ;;
*diffusionbert.stages.train\\ --arm\\ {cancelled}\\ *)
    if [ ! -e {folder}/cancelled ]; then
        touch {folder}/cancelled
        (until [ -e .checkpoints/ci-{cancelled}.lock ]; do sleep 0.1; done; sleep 2; scancel "$SLURM_JOB_ID") \\
            > {folder}/scancel.log 2>&1 &
    fi ;;
esac
exec {python} "$@"
"""
# A poll each few seconds instead of each 40: it ends sooner, and is the one thing that differs from the profile.
POLLS = ("--slurm-init-seconds-before-status-checks", "5", "--seconds-between-status-checks", "5")


def main() -> int:
    start = time.monotonic()
    try:
        slurm.install()
    except slurm.UnavailableError as reason:
        print(f"test-slurm: not run: {reason}", file=sys.stderr)
        return UNAVAILABLE
    try:
        with tempfile.TemporaryDirectory() as place:
            figures = trial(Path.cwd(), Path(place))
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: test-slurm: {error}", file=sys.stderr)
        return 1
    figures["seconds_in_all"] = round(time.monotonic() - start)
    keep("slurm", figures, told(figures))
    return 0


def trial(root: Path, place: Path) -> dict[str, Any]:
    """What was seen: jobs, retries, nodes, seconds. Raises ValueError where it is not what it has to be."""
    first = place / "first_in_path"
    first.mkdir()
    clone = Clone(place / "clone", {"DIFFUSIONBERT_TRACKING": "on"}, (first,))
    clone.prepare(root, "ci")
    python = BINARIES / "python"
    _script(first / "python", PYTHON.format(folder=place, arm=FAILS_ONCE, cancelled=CANCELLED, python=python))
    # DVC names a stage by its file, too, where that is not the folder it is asked in
    stages = sorted(name.rpartition(":")[2] for name in read(clone.folder, ask=False).stages)
    with slurm.started(place / "slurm") as environment:
        _script(first / "srun", SRUN.format(conf=environment["SLURM_CONF"], srun=shutil.which("srun")))
        clone = Clone(clone.folder, {**clone.environment, **environment}, clone.first_in_path)
        start = time.monotonic()
        words = clone.call("snakemake", "--workflow-profile", "slurm", *POLLS)
        seconds = round(time.monotonic() - start)
        counts = check(clone, words, stages)
    placed = [line.split() for line in (place / "placed").read_text(encoding="utf-8").splitlines()]
    _expect("nodes that took jobs", {node for _, node, _ in placed}, set(slurm.NODES))
    without = {module for module, _, gpu in placed if module.endswith(".train") and gpu == "none"}
    _expect("trainings without a GPU of Slurm's", without, set())
    return {"seconds": seconds, "stages": len(stages), "nodes": len(slurm.NODES), **counts}


def check(clone: Clone, words: str, stages: list[str]) -> dict[str, Any]:
    """Jobs, failures and tracked runs. Raises ValueError where a stage ran too often or the clone is not clean."""
    submitted = len(re.findall(r"has been submitted with SLURM jobid \d+", words))
    failed = len(re.findall(r"SLURM-job '\d+' failed", words))
    restarted = len(re.findall(r"Trying to restart job", words))
    _expect("failed and retried jobs", (failed, restarted), (2, 2))
    _expect("submitted jobs", submitted, len(stages) + 2)
    # the job made to fail ended before its stage began
    _expect("stages that executed", clone.executed(), sorted([*stages, f"train@{CANCELLED}"]))
    said = (clone.folder / "logs" / "train" / f"{CANCELLED}.log").read_text(encoding="utf-8")
    resumed = re.findall(r"resuming from step (\d+)", said)  # the log is the retry's: Snakemake began it anew
    if len(resumed) != 1:
        raise ValueError(f"train@{CANCELLED}: resumed from steps {resumed}; expected one, of the state that it left")
    _expect("dvc status", clone.call("dvc", "status").strip(), "Data and pipelines are up to date.")
    again = clone.call("snakemake", "--workflow-profile", "slurm", *POLLS)
    _expect("jobs of a second call", len(re.findall(r"has been submitted", again)), 0)
    clone.call("dvc", "repro")
    _expect("stages that a `dvc repro` executed", clone.executed(), [])
    levels = tracked(clone)
    # what was cancelled has a run of its own
    _expect("tracked runs: of engines, of stages", (levels["engine"], levels["stage"]), (1, len(stages) + 1))
    return {
        "jobs": submitted,
        "failed": failed,
        "retried": restarted,
        "tracked_parents": levels["engine"],
        "resumed_from_step": int(resumed[0]),
    }


def tracked(clone: Clone) -> Counter[str]:
    """The clone's MLflow runs by level."""
    code = (
        "from diffusionbert.tracking.store import Store; from pathlib import Path; s = Store.open(Path());"
        " print(*(r.data.tags['level'] for r in s.client.search_runs([s.experiment], max_results=1000)))"
    )
    return Counter(clone.call("python", "-c", code).split())


def told(figures: dict[str, Any]) -> str:
    """The figures as docs/scale.md has them."""
    seen = (
        f"The profile `ci`, {figures['stages']} stages, over {figures['nodes']} nodes of {slurm.CORES} cores, both on"
        f" one machine: {figures['jobs']} jobs in {figures['seconds']} s. One was made to fail, and one was cancelled"
        " in the middle of its training, which left its state: its retry went on from step"
        f" {figures['resumed_from_step']}. Both were retried, every other stage executed once, both nodes took jobs,"
        " and Slurm gave every training a GPU (a made-up one). Afterwards `dvc status` was clean, a second `snakemake`"
        f" submitted nothing, `dvc repro` executed nothing, and MLflow had {figures['tracked_parents']} parent with a"
        " run for each stage, and one for the training that was cancelled. The whole test took"
        f" {figures['seconds_in_all']} s."
    )
    return textwrap.fill(seen, 120, break_long_words=False, break_on_hyphens=False)


def _script(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ValueError(f"{what}: found {found}; expected {expected}")


if __name__ == "__main__":
    sys.exit(main())
