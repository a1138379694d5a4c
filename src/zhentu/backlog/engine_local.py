"""All cores of this machine: threads, since decoding, resizing and inference all release Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

_AHEAD = 4  # tasks per worker that may wait: enough to keep cores busy, few enough to bound memory


def in_order(work: Callable[[Task], Outcome], tasks: Iterable[Task], workers: int) -> Iterator[Outcome]:
    """`map` over threads: outcomes in the order of the tasks, a bounded number under way at any time."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="scan")
    waiting: deque[Future[Outcome]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also on Ctrl-C: what has not begun is dropped, what has is finished
        pool.shutdown(wait=True, cancel_futures=True)
