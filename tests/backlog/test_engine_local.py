from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing

import pytest

from zhentu.backlog.engine_local import ProcessPool
from zhentu.errors import DependencyError


def in_order(
    build: Callable[[], Callable[[Sequence[int]], list[int]]],
    chunks: Iterable[Sequence[int]],
    workers: int,
    crashed: Callable[[int], int],
) -> Generator[int, None, None]:
    with closing(ProcessPool(build, workers, crashed)) as pool:
        yield from pool.outcomes(chunks)


def build() -> Callable[[Sequence[int]], list[int]]:
    return lambda chunk: [work(task) for task in chunk]


def chunks(tasks: Sequence[int], size: int = 4) -> Iterator[Sequence[int]]:
    return (tasks[start : start + size] for start in range(0, len(tasks), size))


def work(task: int) -> int:
    if task < 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(0.02 if task % 5 == 0 else 0)
    return task * 10


def crashed(task: int) -> int:
    return task


def build_nothing() -> Callable[[Sequence[int]], list[int]]:
    os._exit(7)


def test_outcomes_come_in_the_order_of_the_tasks() -> None:
    assert list(in_order(build, chunks(range(40)), 2, crashed)) == [task * 10 for task in range(40)]


def test_a_crash_costs_the_picture_that_caused_it_and_no_other() -> None:
    tasks = [1, 2, 3, -4, 5, 6, -7, *range(8, 30)]
    assert list(in_order(build, chunks(tasks), 2, crashed)) == [task if task < 0 else task * 10 for task in tasks]


def test_workers_that_cannot_start_are_no_fault_of_the_pictures() -> None:
    with pytest.raises(DependencyError, match="--workers"):
        list(in_order(build_nothing, chunks(range(3)), 1, crashed))


def test_only_a_few_tasks_are_under_way_however_many_there_are() -> None:
    taken = 0

    def endless() -> Iterator[list[int]]:
        nonlocal taken
        while True:
            taken += 1
            yield [taken]

    outcomes = in_order(build, endless(), 1, crashed)
    assert next(outcomes) == 10
    outcomes.close()
    assert taken <= 5


def build_looking_round() -> Callable[[Sequence[int]], list[int]]:
    """What a worker had imported before it was begun: the way of a picture, and nothing that starts threads."""
    seen = (
        int("zhentu.backlog.picture" in sys.modules),
        int(any(name.startswith("onnxruntime") for name in sys.modules)),
    )
    return lambda chunk: [seen[task] for task in chunk]


def test_workers_are_forked_with_everything_imported_that_starts_no_thread() -> None:
    assert list(in_order(build_looking_round, [[0, 1]], 1, crashed)) == [1, 0]
