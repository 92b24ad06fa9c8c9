from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from diffusionbert.tracking import engine


@pytest.mark.parametrize(
    ("cmdline", "kind"),
    [
        ("/v/bin/python /v/bin/snakemake --cores 2", "snakemake"),
        ("python3.11 -m snakemake --cores 2", "snakemake"),
        ("python -X utf8 -m dvc repro", "dvc"),
        ("/v/bin/python /v/bin/dvc --wait-for-lock repro --single-item train@a", "dvc"),
        ("dvc exp run -S train.steps=3", "dvc"),
        ("dvc status", None),
        ("python -m pytest tests/pipeline/snakemake", None),
        ("python -c import snakemake", None),
        ("sh -c snakemake", None),
        ("python", None),
        ("", None),
    ],
)
def test_kind(cmdline: str, kind: str | None) -> None:
    assert engine.kind_of(cmdline.split()) == kind


def test_topmost_ancestor_is_found(tmp_path: Path) -> None:
    """A stage below `dvc repro` below `snakemake` belongs to Snakemake's call."""
    ask = "from diffusionbert.tracking import engine; print(engine.find().kind, engine.find().id)"
    dvc = tmp_path / "dvc"
    dvc.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {ask!r}], check=True)\n")
    snakemake = tmp_path / "snakemake"
    snakemake.write_text(
        f"import os, subprocess, sys\nprint(os.getpid())\nsys.stdout.flush()\n"
        f"subprocess.run([sys.executable, {str(dvc)!r}, 'repro'], check=True)\n"
    )
    told = subprocess.run([sys.executable, str(snakemake)], capture_output=True, text=True, check=True).stdout.split()
    pid, kind, identity = told
    assert kind == "snakemake"
    assert identity.startswith(f"{pid}-")


def test_a_job_on_another_node_belongs_to_the_engine_that_told_it(tmp_path: Path) -> None:
    """Snakemake leaves itself in the environment; what a scheduler then starts has it from there alone."""
    ask = "from diffusionbert.tracking import engine; print(engine.find().kind, engine.find().id)"
    snakemake = tmp_path / "snakemake"
    snakemake.write_text(
        "import os, subprocess, sys\nfrom diffusionbert.tracking import engine\nengine.tell()\n"
        f"print(os.getpid(), os.environ[engine.TOLD].split()[0])\nsys.stdout.flush()\n"
        f"subprocess.run([sys.executable, '-c', {ask!r}], check=True)\n"
    )
    told = subprocess.run([sys.executable, str(snakemake)], capture_output=True, text=True, check=True).stdout.split()
    pid, left, kind, identity = told
    assert kind == "snakemake"
    assert identity == left
    assert identity.startswith(f"{pid}-")


def test_what_the_environment_tells_stands_above_the_ancestors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(engine.TOLD, "12-1700000000 snakemake 1700000000123")
    assert engine.find() == engine.Engine("12-1700000000", "snakemake", 1700000000123)
    monkeypatch.setenv(engine.TOLD, "no engine at all")
    found = engine.find()
    assert found is None or found.id != "no"


def test_identity_tells_whether_alive() -> None:
    me = psutil.Process()
    assert engine.is_alive(engine.identity(me.pid, me.create_time()))
    assert not engine.is_alive(engine.identity(me.pid, me.create_time() - 1000))
    assert not engine.is_alive("cache-0123456789ab")
