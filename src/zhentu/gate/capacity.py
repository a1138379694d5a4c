"""A bounded number of pictures under way: when it is full, the caller hears so at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from zhentu.errors import Overloaded

Outcome = TypeVar("Outcome")


class Capacity:
    """Worker threads behind a bounded queue; the event loop never screens.

    workers: threads.  queue_size: pictures that may wait besides those in work.  deadline_s: seconds a picture may
    take from acceptance; past it the caller is answered and work that has not begun is dropped.
    """

    def __init__(self, workers: int, queue_size: int, deadline_s: float) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="screen")
        self._most, self._deadline_s = workers + queue_size, deadline_s
        self._under_way = 0

    @property
    def under_way(self) -> int:
        """Pictures accepted and not answered."""
        return self._under_way

    async def run(self, work: Callable[[], Outcome]) -> Outcome:
        """Run `work` in a thread. Raises Overloaded at once when full, or when the deadline passes."""
        if self._under_way >= self._most:
            raise Overloaded(f"{self._under_way} pictures are waiting, the limit is {self._most}; try again", 1.0)
        self._under_way += 1
        future = self._pool.submit(work)
        # The slot is free when the thread is, not when an impatient caller has gone.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._release))
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise Overloaded(f"not screened within {self._deadline_s:g} s; try again", 2.0) from error

    def close(self) -> None:
        """Finish what was accepted."""
        self._pool.shutdown(wait=True)

    def _release(self) -> None:
        self._under_way -= 1
