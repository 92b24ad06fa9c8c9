"""One engine at a time in a clone; and what a killed one leaves: locks, half a dvc.lock, files beside their place.

`python -m workflow.leftovers` removes it; `make run` does so by itself.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from voluptuous import Invalid

from diffusionbert.files import remove_dead, write_text
from diffusionbert.tracking.engine import kind_of, stage_of

RUN = Path(".cache/run.lock")  # held by a `make run` as long as it lives
SNAKEMAKE = Path(".snakemake/locks")
DVC_LOCK = Path("dvc.lock")
BUSY = Path(".dvc/tmp/rwlock")  # what DVC's processes are at
WRITTEN_ASIDE = ("results", ".checkpoints", ".cache", ".tracking")
STAGE = re.compile(r"^  \S.*:$", re.MULTILINE)  # the first line of a stage's entry


def main() -> int:
    folder = Path.cwd()
    try:
        with alone(folder):
            pass
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the clone for one `make run` and clears what a killed run left, telling of it.

    Raises ValueError naming the process when another engine works in the folder: then nothing is touched.
    """
    (folder / RUN).parent.mkdir(parents=True, exist_ok=True)
    with (folder / RUN).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder.name}/: another `make run` is at work here; wait for it to end") from None
        for line in clear(folder):
            print(line, file=sys.stderr)
        yield


def clear(folder: Path) -> list[str]:
    """Removes what dead processes left in the folder; returns what there is to tell.

    Raises ValueError when an engine or a stage is alive here, or when dvc.lock is damaged in a way no kill explains.
    """
    for process in psutil.process_iter():
        if (kind := _at_work_in(process, folder)) is not None:  # perhaps before it has made a lock
            raise ValueError(
                f"{folder.name}/: a {kind} run is at work here (process {process.pid}); wait for it to end"
            )
    shutil.rmtree(folder / SNAKEMAKE, ignore_errors=True)
    told = [mended for mended in (_mend_dvc_lock(folder / DVC_LOCK), _drop_unreadable(folder / BUSY)) if mended]
    aside = [path for top in WRITTEN_ASIDE for path in (folder / top).rglob(".*.part")]
    told += [f"removed {path.relative_to(folder)}, which a killed process left" for path in remove_dead(aside)]
    return told


def _at_work_in(process: psutil.Process, folder: Path) -> str | None:
    """The engine, or the stage whose engine was killed, that the process is; None where it is neither, or elsewhere."""
    try:
        return kind_of(process.cmdline()) or stage_of(process.cmdline()) if Path(process.cwd()) == folder else None
    except psutil.Error:  # another user's, or gone in the meantime
        return None


def _mend_dvc_lock(path: Path) -> str | None:
    """DVC writes its lock in place, for a second or so; one killed meanwhile leaves the first part of it.

    The stages whose entries are lost come back from DVC's cache without executing.
    """
    if not path.exists() or is_whole(text := path.read_text(encoding="utf-8", errors="replace")):
        return None
    entries = [found.start() for found in STAGE.finditer(text)]
    if len(entries) <= 1:  # none of them is whole
        if len(text) > 0 and not text.startswith("schema:"):
            raise ValueError(_not_explained(path))
        path.unlink()
        return f"{path.name}: a killed DVC left none of it; DVC's cache has what the stages made"
    text = text[: entries[-1]]
    if not is_whole(text):
        raise ValueError(_not_explained(path))
    write_text(path, text)
    return f"{path.name}: a killed DVC left {len(entries) - 1} whole entries; DVC's cache has what the others made"


def _not_explained(path: Path) -> str:
    return f"{path.name}: not what DVC writes; expected its lock. `git checkout {path.name}` or delete it and run again"


def is_whole(text: str) -> bool:
    if not text.endswith("\n"):
        return False
    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe", pure=True).load(text))
    except (YAMLError, Invalid):
        return False
    return True


def _drop_unreadable(path: Path) -> str | None:
    """DVC refuses to work beside its own list of busy files when a kill has cut that short."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        path.unlink()
        return f"removed {BUSY}, which a killed DVC left unreadable"
    return None


if __name__ == "__main__":
    sys.exit(main())
