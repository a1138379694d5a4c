"""All cores of this machine: one process per core, so that no lock is shared and a crash costs one picture.

Processes, not threads: about a tenth of a picture's time holds Python's lock (copies of pixels, choosing crops, the
record), which would cap threads at some ten cores; and a decoder that dies on a hostile file takes one worker with it,
not the scan.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from zhentu.errors import DependencyError

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

_AHEAD = 4  # tasks per worker that may wait: enough to keep cores busy, few enough to bound memory
_work: Callable[[Any], Any] | None = None  # of a worker process; None in every other


def in_order(
    build: Callable[[], Callable[[Task], Outcome]],
    tasks: Iterable[Task],
    workers: int,
    crashed: Callable[[Task], Outcome],
) -> Generator[Outcome, None, None]:
    """`map` over processes: outcomes in the order of the tasks, a bounded number under way at any time.

    build: makes a worker's function, called once in each worker; must be picklable, as tasks and outcomes must be.
    crashed: the outcome of a task whose worker died; found by running the tasks that were under way alone.
    Raises DependencyError when workers cannot even start. Close the iterator to end early.
    """
    pending = iter(tasks)
    waiting: deque[tuple[Task, Future[Outcome]]] = deque()
    pool = _pool(build, workers)
    try:
        while True:
            for task in islice(pending, _AHEAD * workers - len(waiting)):
                waiting.append((task, _submit(pool, task)))
            if not waiting:
                return
            try:
                outcome = waiting[0][1].result()
            except BrokenProcessPool:
                pool.shutdown()
                yield from _one_by_one(build, waiting, crashed)
                waiting.clear()
                pool = _pool(build, workers)
                continue
            waiting.popleft()
            yield outcome
    finally:  # also on Ctrl-C: what has not begun is dropped, what has is finished
        pool.shutdown(wait=True, cancel_futures=True)


def _one_by_one(
    build: Callable[[], Callable[[Task], Outcome]],
    suspects: Iterable[tuple[Task, Future[Outcome]]],
    crashed: Callable[[Task], Outcome],
) -> Iterator[Outcome]:
    """When a worker died, its task is one of those under way; alone in a process each shows whether it is the one."""
    pool = _started(build)
    try:
        for task, future in suspects:
            if future.done() and future.exception() is None:
                yield future.result()
                continue
            try:
                outcome = _submit(pool, task).result()
            except BrokenProcessPool:
                pool.shutdown()
                pool = _started(build)
                outcome = crashed(task)
            yield outcome
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(build: Callable[[], Callable[[Task], Outcome]], workers: int) -> ProcessPoolExecutor:
    # spawn: a fork would copy the locks of ONNX Runtime's and OpenCV's threads in whatever state they are
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(build,))


def _started(build: Callable[[], Callable[[Task], Outcome]]) -> ProcessPoolExecutor:
    """A pool of one, known to start: otherwise every picture would be blamed for a machine without memory."""
    pool = _pool(build, 1)
    try:
        pool.submit(_ready).result()
    except BrokenProcessPool as error:
        pool.shutdown()
        raise DependencyError(
            "scan workers die as soon as they start, most often for lack of memory; try fewer with --workers"
        ) from error
    return pool


def _submit(pool: ProcessPoolExecutor, task: Task) -> Future[Any]:
    try:
        return pool.submit(_run, task)
    except BrokenProcessPool as error:
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed


def _begin(build: Callable[[], Callable[[Any], Any]]) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; ending is the parent's task
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _work = build()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # returns too when it was killed, and then nobody would ever end this worker
        os._exit(1)


def _ready() -> bool:
    return _work is not None


def _run(task: Any) -> Any:
    if _work is None:
        raise RuntimeError("the worker was not begun")
    return _work(task)
