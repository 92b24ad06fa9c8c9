"""Shards made by worker processes, one in each at a time: memory grows with the workers and not with the corpus."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, cast

Task = Any  # what a worker is given and what it gives back must be picklable
Work = Callable[[Task], Any]


def each_by_workers(
    tasks: Iterable[Task], make: Callable[..., Work], told: tuple[Any, ...], workers: int
) -> Iterator[Any]:
    """The results of `make(*told)(task)`, in whatever order they come; with one worker, by this process, in order.

    A worker makes its own work from what it is told, once. It is started anew rather than forked, since a tokenizer
    that has run threads does not survive a fork. It ends when the pipe to this process closes, so that it does not
    outlive it, however this process ends.

    Raises what the work raises, and OSError when a worker dies.
    """
    if workers == 1:
        yield from map(make(*told), tasks)
        return
    queue = iter(tasks)
    with _started(make, told, workers) as pipes:
        busy: set[Connection] = set()
        for pipe in pipes:
            _give(pipe, queue, busy)
        while busy:
            for ready in wait(list(busy)):
                pipe = cast(Connection, ready)
                result = _taken(pipe, pipes[pipe])
                busy.discard(pipe)
                _give(pipe, queue, busy)
                yield result


def _give(pipe: Connection, queue: Iterator[Task], busy: set[Connection]) -> None:
    """A worker that waits gets the next task, where there is one."""
    for task in queue:
        busy.add(pipe)
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died, which shows when its result is asked for
            pipe.send(task)
        return


def _taken(pipe: Connection, process: BaseProcess) -> Any:
    try:
        result = pipe.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        status = process.exitcode or 0
        why = f"signal {-status}" if status < 0 else f"status {status}"
        raise OSError(f"a worker process ended with {why}; what was finished is kept. Run again") from None
    if isinstance(result, Exception):
        raise result
    return result


@contextmanager
def _started(make: Callable[..., Work], told: tuple[Any, ...], workers: int) -> Iterator[dict[Connection, BaseProcess]]:
    context = multiprocessing.get_context("spawn")
    pipes: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=_serve, args=(theirs, make, told), daemon=True)
            process.start()
            theirs.close()  # the worker's end must be open in the worker alone, or its death would not be seen
            pipes[ours] = process
        yield pipes
    finally:
        for pipe, process in pipes.items():
            pipe.close()
            process.terminate()
            process.join()


def _serve(pipe: Connection, make: Callable[..., Work], told: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    work = make(*told)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            result = work(task)
        except (ValueError, OSError) as error:
            result = error
        try:
            pipe.send(result)
        except BrokenPipeError:
            return
