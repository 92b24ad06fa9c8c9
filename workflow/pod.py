"""A stage as a Job of Kubernetes: what Snakemake's generic executor calls under profiles/kubernetes.

Snakemake's own executor for Kubernetes shares no file system with its jobs, and DVC needs one. So a pod mounts the
volume in which the clone lies, at the clone's own path; what else it is stands in profiles/kubernetes/job.yaml.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

MANIFEST = Path("profiles/kubernetes/job.yaml")
# What a stage may be told by its caller's environment; PATH is where `dvc` and `python` of the clone are found.
CARRIED = re.compile(r"PATH|OMP_NUM_THREADS|DO_NOT_TRACK|TOKENIZERS_PARALLELISM|(DIFFUSIONBERT|MLFLOW|HF|DVC|AWS)_\w+")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workflow.pod")
    commands = parser.add_subparsers(dest="command", required=True)
    submitting = commands.add_parser("submit", help="starts a job and prints its name")
    for name in ("--cores", "--mem-mb", "--gpu"):
        submitting.add_argument(name, type=int, required=True)
    submitting.add_argument("script", type=Path)
    for name in ("status", "cancel"):
        commands.add_parser(name).add_argument("jobs", nargs="+")
    args = parser.parse_args(argv)
    try:
        if args.command == "submit":
            manifest = YAML(typ="safe").load(MANIFEST.read_text(encoding="utf-8"))
            told = kubectl(
                ["create", "--output=name", "--filename=-"],
                json.dumps(filled(manifest, args.script, args.cores, args.mem_mb, args.gpu, os.environ)),
            )
            print(told.strip().rpartition("/")[2])
        elif args.command == "status":
            print(state(json.loads(kubectl(["get", "job", args.jobs[0], "--output=json"]))))
        else:
            kubectl(["delete", "--ignore-not-found", "job", *args.jobs])
    except (ValueError, OSError) as error:
        print(f"error: pod: {error}", file=sys.stderr)
        return 1
    return 0


def filled(
    manifest: dict[str, Any], script: Path, cores: int, mem_mb: int, gpus: int, environment: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest with the job's script, folder, environment and resources.

    Raises ValueError where it has not exactly one container.
    """
    try:
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{MANIFEST}: spec.template.spec.containers: expected a list of one container") from None
    resources = {"cpu": str(cores), "memory": f"{mem_mb}M"}
    if gpus:
        resources["nvidia.com/gpu"] = str(gpus)
    carried = [{"name": name, "value": value} for name, value in environment.items() if CARRIED.fullmatch(name)]
    container |= {
        "command": ["/bin/sh", str(script)],
        "workingDir": str(Path.cwd()),
        "env": [*container.get("env", []), *carried],
        "resources": {"requests": resources, "limits": resources},
    }
    return manifest


def state(job: Mapping[str, Any]) -> str:
    """What Snakemake asks of a Job: success, failed, or running, which a waiting one is too."""
    status = job.get("status", {})
    if status.get("succeeded"):
        return "success"
    over = any(found["type"] == "Failed" and found["status"] == "True" for found in status.get("conditions", []))
    return "failed" if over or status.get("failed") else "running"


def kubectl(words: Sequence[str], given: str | None = None) -> str:
    """Its words. Raises ValueError with what it said when it fails."""
    done = subprocess.run(["kubectl", *words], input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"kubectl {words[0]}: {' '.join(done.stderr.split()) or f'exit status {done.returncode}'}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
