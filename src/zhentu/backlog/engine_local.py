"""The local engine: one process per core, so that no lock is shared and a crash costs one picture.

Processes, not threads: about a tenth of a picture's time holds Python's lock (copies of pixels, choosing crops, the
record), which would cap threads at some ten cores; and a decoder that dies on a hostile file takes down one worker,
not the scan. `scripts/bench_scan.py` measures both.

Workers are forked from a process that did nothing but import (multiprocessing's fork server): imports are paid for once
and their pages shared, and no thread of ONNX Runtime or OpenCV, whose locks a fork would copy as they are, runs there.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from typing import Any, Generic, TypeVar

from zhentu.errors import DependencyError

Task = TypeVar("Task")
Done = TypeVar("Done")

_SAFE_PATH = "PYTHONSAFEPATH"
_AHEAD = 3  # chunks per worker that may wait: enough to keep cores busy, few enough to bound memory
_IMPORTED = ("zhentu.backlog.picture",)  # before workers are forked; loads nothing that starts threads
_work: Callable[[Any], Any] | None = None  # of a worker process; None in every other


def prepare_workers() -> None:
    """Start the process that workers are forked from; it imports while the caller does other things. Idempotent."""
    _context()


def release_workers() -> None:
    """End that process, and wait for it: its time, and that of its workers, then counts as this process's.

    Otherwise it ends with this process, and `time zhentu scan` would say that a scan costs next to nothing.
    """
    with suppress(AttributeError, OSError):  # private to Python; without it nothing but that account is lost
        forkserver._forkserver._stop()  # type: ignore[attr-defined]


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    with _no_modules_from_here():
        forkserver.ensure_running()
    return context


@contextmanager
def _no_modules_from_here() -> Iterator[None]:
    """Python's fork server would import from the working directory, and that may be a folder of sellers' files."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


class ProcessPool(Generic[Task, Done]):
    """`map` over processes that survives their deaths.

    build: makes a worker's function over a chunk of tasks, once in each worker; it, tasks and outcomes are pickled.
    crashed: the outcome of a task whose worker died; found by rerunning the tasks in progress one by one.
    """

    def __init__(
        self,
        build: Callable[[], Callable[[Sequence[Task]], list[Done]]],
        workers: int,
        crashed: Callable[[Task], Done],
    ) -> None:
        self._build, self._workers, self._crashed = build, workers, crashed
        self._pool = self._start(workers)

    def outcomes(self, chunks: Iterable[Sequence[Task]]) -> Generator[Done, None, None]:
        """Outcomes in the order of the tasks, with a bounded number in progress at any time.

        Raises DependencyError if workers cannot even start. Close the iterator to end early.
        """
        pending = iter(chunks)
        waiting: deque[tuple[Sequence[Task], Future[list[Done]]]] = deque()
        try:
            while True:
                for chunk in islice(pending, _AHEAD * self._workers - len(waiting)):
                    waiting.append((chunk, self._submit(self._pool, chunk)))
                if not waiting:
                    return
                try:
                    outcomes = waiting[0][1].result()
                except BrokenProcessPool:
                    self._pool.shutdown()
                    yield from self._one_by_one(waiting)
                    waiting.clear()
                    self._pool = self._start(self._workers)
                    continue
                waiting.popleft()
                yield from outcomes
        finally:  # also on Ctrl-C: tasks that have not begun are dropped
            for _, future in waiting:
                future.cancel()

    def close(self) -> None:
        """End the processes; tasks that have begun are finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _one_by_one(self, suspects: Iterable[tuple[Sequence[Task], Future[list[Done]]]]) -> Iterator[Done]:
        """When a worker died, its task is among those in progress; rerun alone, each shows whether it was the one."""
        pool = self._started()
        try:
            for chunk, future in suspects:
                if future.done() and future.exception() is None:
                    yield from future.result()
                    continue
                for task in chunk:
                    try:
                        outcomes = self._submit(pool, [task]).result()
                    except BrokenProcessPool:
                        pool.shutdown()
                        pool = self._started()
                        outcomes = [self._crashed(task)]
                    yield from outcomes
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(workers, _context(), initializer=_begin, initargs=(self._build,))

    def _started(self) -> ProcessPoolExecutor:
        """A pool of one, known to start: otherwise pictures would be blamed for a machine without memory."""
        pool = self._start(1)
        try:
            pool.submit(_ready).result()
        except BrokenProcessPool as error:
            pool.shutdown()
            raise DependencyError(
                "scan workers die as soon as they start, most often for lack of memory; try fewer with --workers"
            ) from error
        return pool

    @staticmethod
    def _submit(pool: ProcessPoolExecutor, chunk: Sequence[Task]) -> Future[Any]:
        try:
            return pool.submit(_run, chunk)
        except BrokenProcessPool as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed


def _begin(build: Callable[[], Callable[[Any], Any]]) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; ending is the parent's task
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _work = build()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()  # also returns if the parent was killed; nobody else would end this worker
        os._exit(1)


def _ready() -> bool:
    return _work is not None


def _run(chunk: Any) -> Any:
    if _work is None:
        raise RuntimeError("the worker was not initialised")
    return _work(chunk)
