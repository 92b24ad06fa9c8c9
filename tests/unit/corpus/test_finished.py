"""A tokenisation that was killed goes on: what was finished is taken over, what was damaged is made again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from diffusionbert.corpus import shard_writer
from diffusionbert.corpus.finished import Finished
from diffusionbert.corpus.shard_writer import Rows, write_shards
from diffusionbert.corpus.shards import Shards
from diffusionbert.files import sha256

SIZE = 150


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _write(text: Path, shards: Path, out: Path, **settings: Any) -> None:
    """The shards of the fixture, once more."""
    held = Shards.open(shards)
    tokenizer = AutoTokenizer.from_pretrained(held.tokenizer_folder)
    write_shards(text, out, tokenizer, held.special, Rows(32), shard_size=SIZE, **settings)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the shards that are encoded, as they are."""
    names: list[str] = []
    write = shard_writer.write_shard

    def counted(path: Path, encoded: Any) -> shard_writer.Counts:
        names.append(path.stem)
        return write(path, encoded)

    monkeypatch.setattr(shard_writer, "write_shard", counted)
    return names


def test_any_number_of_workers_gives_the_same_bytes(grammar_text: Path, grammar_shards: Path, tmp_path: Path) -> None:
    for workers in (1, 2, 3):
        _write(grammar_text, grammar_shards, tmp_path / str(workers), workers=workers)
        assert _files(tmp_path / str(workers)) == _files(grammar_shards)


def _stop_after(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The writing of the next shard fails, as on a full disk."""
    write, done = shard_writer.write_shard, []

    def failing(path: Path, encoded: Any) -> shard_writer.Counts:
        if len(done) == number:
            raise OSError(f"{path.name}: could not be written (No space left on device); nothing was replaced")
        done.append(path)
        return write(path, encoded)

    monkeypatch.setattr(shard_writer, "write_shard", failing)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_run_that_stopped_goes_on(
    grammar_text: Path,
    grammar_shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: list[str],
    number: int,
) -> None:
    checkpoints = tmp_path / "checkpoints" / "tokenize-x"
    with monkeypatch.context() as patch:
        _stop_after(patch, number)
        with pytest.raises(OSError, match="No space left"):
            _write(grammar_text, grammar_shards, tmp_path / "out", checkpoints=checkpoints)
    assert not (tmp_path / "out").exists()
    first = list(made)
    assert len(first) == number
    _write(grammar_text, grammar_shards, tmp_path / "out", checkpoints=checkpoints)
    assert len(made) == len(set(made)), "no shard is made twice"
    assert _files(tmp_path / "out") == _files(grammar_shards)
    assert list(checkpoints.parent.iterdir()) == [], "what was kept goes when all is done"


def test_a_damaged_shard_is_made_again_and_told(
    grammar_text: Path,
    grammar_shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoints = tmp_path / "tokenize-x"
    with monkeypatch.context() as patch:
        _stop_after(patch, 3)
        with pytest.raises(OSError, match="No space left"):
            _write(grammar_text, grammar_shards, tmp_path / "out", checkpoints=checkpoints)
    (folder,) = tmp_path.glob("tokenize-x-*")
    flipped, cut, kept = (folder / f"{name}.arrow" for name in made)
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    cut.with_suffix(".json").write_text("{")
    made.clear()
    _write(grammar_text, grammar_shards, tmp_path / "out", checkpoints=checkpoints)
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if "made again" in line] == [
        f"tokenize: {path}: damaged since it was finished; it is made again" for path in (flipped, cut)
    ]
    assert kept.stem not in made
    assert {flipped.stem, cut.stem} <= set(made)
    assert _files(tmp_path / "out") == _files(grammar_shards)


def test_another_text_or_recipe_takes_nothing(grammar_text: Path, grammar_shards: Path, tmp_path: Path) -> None:
    place = Finished(tmp_path / "kept")
    place.folder.mkdir()
    place.path("train-00000").write_bytes(b"shard")
    place.keep("train-00000", "a" * 64, {"sentences": 1})
    assert place.take("train-00000", "a" * 64) == {
        "bytes": 5,
        "sha256": sha256(place.path("train-00000")),
        "sentences": 1,
    }
    assert place.take("train-00000", "b" * 64) is None
    assert place.take("train-00001", "a" * 64) is None
    one, other = (shard_writer._place(tmp_path / "t", {"max_length": length}) for length in (32, 64))
    assert one != other


SCRIPT = """
import sys
from pathlib import Path
from transformers import AutoTokenizer
from diffusionbert.corpus.shard_writer import Rows, write_shards
from diffusionbert.corpus.shards import Shards
text, shards, out, checkpoints, workers = sys.argv[1:]
if __name__ == "__main__":
    held = Shards.open(Path(shards))
    tokenizer = AutoTokenizer.from_pretrained(held.tokenizer_folder)
    write_shards(Path(text), Path(out), tokenizer, held.special, Rows(32), shard_size=10, workers=int(workers),
                 checkpoints=Path(checkpoints))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_killed_leaves_its_shards_and_no_process(
    grammar_text: Path, grammar_shards: Path, tmp_path: Path, workers: int
) -> None:
    """Killed when so many shards are finished, again and again; the last run comes through."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out, checkpoints = tmp_path / "out", tmp_path / "kept" / "tokenize-x"
    words = [sys.executable, str(script), *map(str, (grammar_text, grammar_shards, out, checkpoints, workers))]
    seen: dict[Path, int] = {}
    for wanted in (3, 17):
        process = subprocess.Popen(words, start_new_session=True)
        while process.poll() is None and len(list(checkpoints.parent.glob("*/*.json"))) < wanted:
            time.sleep(0.005)
        process.kill()
        process.wait()
        _wait_for_the_end_of(process.pid)
        finished = {path: path.stat().st_mtime_ns for path in checkpoints.parent.glob("*/*.arrow")}
        assert all(finished[path] == times for path, times in seen.items()), "a finished shard is not made again"
        seen = {path: finished[path] for path in finished if path.with_suffix(".json").exists()}
        assert len(seen) >= wanted
        assert not out.exists()
    subprocess.run(words, check=True)
    _write_small(grammar_text, grammar_shards, tmp_path / "whole")
    assert _files(out) == _files(tmp_path / "whole")


def _write_small(text: Path, shards: Path, out: Path) -> None:
    held = Shards.open(shards)
    tokenizer = AutoTokenizer.from_pretrained(held.tokenizer_folder)
    write_shards(text, out, tokenizer, held.special, Rows(32), shard_size=10)


def _wait_for_the_end_of(group: int) -> None:
    """The workers see that the pipe closed; none may stay."""
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("a worker outlived the run")


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(OSError, match="a worker process ended with signal 9; what was finished is kept"):
        list(shard_writer.each_by_workers(range(4), _suicidal, (), 2))
    with pytest.raises(ValueError, match="no 2"):
        list(shard_writer.each_by_workers(range(4), _choosy, (), 2))


def _suicidal() -> Any:
    return lambda task: os.kill(os.getpid(), signal.SIGKILL)


def _choosy() -> Any:
    def work(task: int) -> int:
        if task == 2:
            raise ValueError("no 2")
        return task

    return work
