"""Are files whole or absent, is a full disk told in one line, and is a changed byte noticed?"""

from __future__ import annotations

import errno
import os
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diffusionbert.files import NoRoomError, check_sums, replacing, write_json, write_sums, write_text, written_aside

DEAD = 2**22 + 1  # above the largest process number


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_the_old_file_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_text(path, "old")
    with room_for(1000), pytest.raises(NoRoomError) as caught:
        write_text(path, "x" * 5000)
    assert str(caught.value) == (
        f"{path}: could not be written (File too large); what it held is kept. Make room and run again"
    )
    assert [found.name for found in tmp_path.iterdir()] == ["metrics.json"]
    assert path.read_text() == "old"
    write_text(path, "x" * 5000)
    assert path.read_text() == "x" * 5000


def test_a_file_inside_a_folder_is_told_as_the_folder(tmp_path: Path) -> None:
    def fill() -> None:
        with replacing(tmp_path / "model") as aside:
            aside.mkdir()
            write_json(aside / "arm.json", ["x" * 5000])

    with room_for(1000), pytest.raises(NoRoomError, match=r"/model: could not be written \(File too large\)"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "Error writing bytes to file. Detail: [errno 28]"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=["arrow", "rust"],
)
def test_libraries_word_a_full_disk_in_their_own_ways(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(NoRoomError, match=r"table: could not be written \(No space left on device\)"):
        _raise(tmp_path / "table", error)


def test_a_worker_s_full_disk_reaches_the_process_that_started_it() -> None:
    error = NoRoomError(Path("shards"), "No space left on device")
    sent = pickle.loads(pickle.dumps(error))
    assert (type(sent), str(sent), sent.reason) == (NoRoomError, str(error), error.reason)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left", "/elsewhere/file"), ValueError("no")])
def test_other_errors_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        _raise(tmp_path / "table", error)
    assert caught.value is error


def _raise(path: Path, error: Exception) -> None:
    with replacing(path):
        raise error


def test_what_a_killed_process_left_is_removed_and_what_a_live_one_writes_is_not(tmp_path: Path) -> None:
    model = Path("model")
    names = [written_aside(model, owner).name for owner in (DEAD, os.getpid(), os.getppid())]
    names += [written_aside(Path("other"), DEAD).name, f".model.{DEAD}@another-machine.part", f".model.{DEAD}.part"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    with replacing(tmp_path / "model") as aside:
        aside.mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names[2:], "model"])


def test_every_flipped_byte_of_a_folder_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(range(200)))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/vocab.txt").write_text("[PAD]\n")
    write_sums(tmp_path)
    write_sums(tmp_path)  # its own file is none of them
    check_sums(tmp_path)
    for name in ("model.safetensors", "deep/vocab.txt", "sums.json"):
        whole = (tmp_path / name).read_bytes()
        for place in range(len(whole)):
            (tmp_path / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            if (tmp_path / name).read_bytes().split() != whole.split():  # a space of JSON for another says the same
                with pytest.raises(ValueError, match=r"changed since|missing, though|not valid JSON|such file"):
                    check_sums(tmp_path)
        (tmp_path / name).write_bytes(whole)
    check_sums(tmp_path)
    check_sums(tmp_path, ["deep/vocab.txt"])
    (tmp_path / "late.txt").touch()
    with pytest.raises(ValueError, match=r"late\.txt: sums\.json does not list it"):
        check_sums(tmp_path, ["late.txt"])
    (tmp_path / "deep/vocab.txt").unlink()
    with pytest.raises(ValueError, match=r"vocab\.txt: missing"):
        check_sums(tmp_path)
