"""`python -m diffusionbert.tracking setup`, `replay` or `record`: the store, and what waits for it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from diffusionbert.tracking import SECONDS, TIMEOUT, lockfile, mirror, record
from diffusionbert.tracking.journal import is_on, project_root

PATIENT_SECONDS = "60"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 with one line when the store cannot be reached or DVC cannot tell."""
    parser = argparse.ArgumentParser(prog="python -m diffusionbert.tracking")
    parser.add_argument(
        "command",
        choices=["setup", "replay", "record"],
        help="setup: create the store; replay: send what was not sent; record: also keys and cached stages",
    )
    command = parser.parse_args(argv).command
    try:
        if not is_on():
            return 0
        if os.environ[TIMEOUT] == SECONDS:  # nobody else's wish, and here nothing waits but what is to be sent
            os.environ[TIMEOUT] = PATIENT_SECONDS
        root = project_root()
        if command == "setup":
            return _setup(root)
        record.close_killed(root)
        fault = _record(root) if command == "record" else None
        if fault is not None:
            print(f"warning: tracking: {fault}", file=sys.stderr)
        return max(replay(root), int(fault is not None))
    except (ValueError, OSError) as error:
        print(f"error: tracking: {error}", file=sys.stderr)
        return 1


def _setup(root: Path) -> int:
    try:
        from diffusionbert.tracking.store import Store, target

        Store.open(root)
    except Exception as error:  # as in mirror.Live: whatever a client, a server or a driver may raise
        print(mirror.unreachable("MLflow", error), file=sys.stderr)
        return 1
    print(f"tracking: runs go to {mirror.without_password(target(root))}")
    return 0


def _record(root: Path) -> ValueError | None:
    try:
        locked = lockfile.entries(root)
        record.give_keys(root, locked)
        record.add_cached(root, locked, record.fresh(root) if locked else [])
    except ValueError as error:  # told, but what waits is sent all the same
        return error
    return None


def replay(root: Path) -> int:
    """Sends what waits in all journals, oldest first, so that origins are there before what links to them."""
    waiting = [path for path in record.journals(root) if not mirror.is_sent(path)]
    if not waiting:
        return 0
    uri = "MLflow"
    faults = []
    try:
        from diffusionbert.tracking.store import Store, target

        uri = target(root)
        store = Store.open(root)
    except Exception as error:  # as above
        print(mirror.unreachable(uri, error), file=sys.stderr)
        return 1
    for path in waiting:
        try:
            mirror.send(store, path)
        except Exception as error:  # as above; the other journals still go
            faults.append(error)
    if faults:
        print(mirror.unreachable(uri, faults[0]), file=sys.stderr)
    print(f"tracking: {len(waiting) - len(faults)} of {len(waiting)} runs sent")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
