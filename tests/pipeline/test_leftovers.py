"""Is what a killed engine left removed or mended, and is a live one left alone?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from workflow import leftovers

from diffusionbert.files import written_aside

ENTRY = """\
  {name}:
    cmd: python -m diffusionbert.stages.{name}
    deps:
    - path: src
      hash: md5
      md5: 00000000000000000000000000000000.dir
      size: 12345
      nfiles: 2
    params:
      params.yaml:
        train.steps: 10
    outs:
    - path: results/{name}/metrics.json
      hash: md5
      md5: 11111111111111111111111111111111
      size: 678
"""
WHOLE = "schema: '2.0'\nstages:\n" + "".join(ENTRY.format(name=name) for name in ("corpus", "train@a", "train@b"))
DEAD = 2**22 + 1  # above the largest process number


def engine_at(folder: Path, name: str, *words: str) -> subprocess.Popen[bytes]:
    """A process that looks like an engine and works in the folder until its input ends."""
    (folder / name).write_text("import sys; print('up', flush=True); sys.stdin.read()")
    command = [sys.executable, name, *words]
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_the_lock_of_a_dead_run_is_removed(tmp_path: Path) -> None:
    lock = tmp_path / leftovers.SNAKEMAKE / "0.input.lock"
    assert leftovers.clear(tmp_path) == []
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert leftovers.clear(tmp_path) == []
    assert not lock.exists()


@pytest.mark.parametrize("words", [("snakemake", "--cores", "2"), ("dvc", "--wait-for-lock", "repro")])
def test_a_live_engine_is_left_alone(tmp_path: Path, words: tuple[str, ...]) -> None:
    """By `make run` as well, which has not written params.yaml yet when it looks."""
    lock = tmp_path / leftovers.SNAKEMAKE / "0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    with engine_at(tmp_path, *words) as process:
        with (
            pytest.raises(ValueError, match=f"a {words[0]} run is at work here .process {process.pid}"),
            leftovers.alone(tmp_path),
        ):
            raise AssertionError("it was let in")
        process.communicate()
    assert lock.exists()


def test_another_command_of_dvc_is_no_run(tmp_path: Path) -> None:
    with engine_at(tmp_path, "dvc", "plots", "show") as process:
        assert leftovers.clear(tmp_path) == []
        process.communicate()


def test_of_two_runs_one_is_let_in(tmp_path: Path) -> None:
    refused = pytest.raises(ValueError, match="another `make run` is at work here")
    with leftovers.alone(tmp_path), refused, leftovers.alone(tmp_path):
        raise AssertionError("it was let in")
    with leftovers.alone(tmp_path):
        pass


def test_half_a_lock_keeps_its_whole_entries(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    for length in range(0, len(WHOLE), 7):
        path.write_text(WHOLE[:length])
        told = leftovers._mend_dvc_lock(path)
        left = path.read_text() if path.exists() else ""
        assert WHOLE.startswith(left)
        assert left == "" or leftovers.is_whole(left)
        assert (told is None) == (path.exists() and left == WHOLE[:length])
        assert left.count("cmd:") >= WHOLE[:length].count("cmd:") - 1
        assert leftovers._mend_dvc_lock(path) is None


def test_a_whole_lock_stays_and_another_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(WHOLE)
    assert leftovers.clear(tmp_path) == []
    assert path.read_text() == WHOLE
    merged = WHOLE.replace("  train@a:", "<<<<<<< HEAD\n  train@a:")
    path.write_text(merged)
    with pytest.raises(ValueError, match=r"dvc\.lock: not what DVC writes; .*git checkout dvc\.lock"):
        leftovers.clear(tmp_path)
    assert path.read_text() == merged


def test_what_dead_processes_wrote_aside_is_removed_and_told(tmp_path: Path) -> None:
    live = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    kept = written_aside(tmp_path / "results/default/report.html", live.pid)
    dead = written_aside(tmp_path / "results/default/train/a/model", DEAD)
    busy = tmp_path / leftovers.BUSY
    for folder in (dead, kept.parent, busy.parent):
        folder.mkdir(parents=True, exist_ok=True)
    kept.write_text("half")
    (dead / "model.safetensors").write_text("half")
    busy.write_text('{"write": {"resu')
    try:
        assert leftovers.clear(tmp_path) == [
            "removed .dvc/tmp/rwlock, which a killed DVC left unreadable",
            f"removed {dead.relative_to(tmp_path)}, which a killed process left",
        ]
    finally:
        live.communicate()
    assert kept.exists()
    assert not dead.exists()
    assert not busy.exists()


def test_a_stage_whose_engine_was_killed_is_at_work(tmp_path: Path) -> None:
    """Its module need not be there: what its command line runs tells."""
    script = tmp_path / "diffusionbert.stages.train"
    script.write_text("input()")
    live = subprocess.Popen([sys.executable, str(script), "--arm", "a"], stdin=subprocess.PIPE, cwd=tmp_path)
    try:
        with pytest.raises(
            ValueError, match=rf"a train run is at work here \(process {live.pid}\); wait for it to end"
        ):
            leftovers.clear(tmp_path)
    finally:
        live.communicate()
    assert leftovers.clear(tmp_path) == []
