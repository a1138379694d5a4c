"""A bounded number of pictures in progress: when the bound is reached, callers are told at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from zhentu.errors import DeadlineExceeded, Overloaded

Outcome = TypeVar("Outcome")

_FIRST_GUESS_S = 0.05
_SMOOTHING = 0.1
_STEEP = 4.0  # times the expected duration; anything longer says nothing about other pictures
_SHARE = 0.75  # of all places that one caller may take
_MARGIN = 0.7  # share of the deadline that an expected wait may use: times vary, and a late answer helps nobody


class Ticket:
    """One accepted piece of work, as its thread sees it."""

    __slots__ = ("accepted_at", "began_at", "dropped")

    def __init__(self) -> None:
        self.accepted_at = time.perf_counter()
        self.began_at = 0.0
        self.dropped = False

    def check(self) -> None:
        """Raise DeadlineExceeded once nobody is waiting for the answer; called between steps."""
        if self.dropped:
            raise DeadlineExceeded("nobody is waiting for this picture any more")

    @property
    def waited_s(self) -> float:
        """Seconds between acceptance and the start of work."""
        return self.began_at - self.accepted_at


class Capacity:
    """Worker threads behind a bounded queue; the event loop never screens.

    workers: threads.  queue_size: pictures that may wait besides those in work.  deadline_s: seconds a picture may
    take from acceptance; past it the caller is answered, and work is dropped at its next step.  first_guess_s: seconds
    a picture is thought to take until some were measured.
    """

    def __init__(self, workers: int, queue_size: int, deadline_s: float, first_guess_s: float = _FIRST_GUESS_S) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="screen")
        self._workers, self._most, self._deadline_s = workers, workers + queue_size, deadline_s
        self._share = max(workers, int(self._most * _SHARE))
        self._under_way = 0
        self._by_owner: Counter[str] = Counter()
        self._service_s = first_guess_s
        self._draining = False

    @property
    def under_way(self) -> int:
        """Accepted pictures whose thread is not free yet."""
        return self._under_way

    @property
    def idle(self) -> bool:
        """Whether a thread is free for low-priority work."""
        return self._under_way < self._workers and not self._draining

    @property
    def is_alone(self) -> bool:
        """Whether nothing else is under way than what asks."""
        return self._under_way <= 1

    def admit(self, owner: str = "") -> None:
        """Raise Overloaded if there is no room, or the wait would outlast the deadline. owner: the key that asks."""
        if self._draining:
            raise Overloaded("the gate is shutting down; ask another one", 1.0)
        expected = (self._under_way / self._workers + 1) * self._service_s
        if self._under_way >= self._most:
            raise Overloaded(f"{self._under_way} pictures are waiting, the limit is {self._most}; try again", expected)
        if owner and self._by_owner[owner] >= self._share:
            raise Overloaded(f"{self._by_owner[owner]} pictures of yours are waiting; others get their turn", expected)
        if self._under_way >= self._workers and expected > _MARGIN * self._deadline_s:
            raise Overloaded(
                f"{self._under_way} pictures are waiting, a new one would take {expected:.1f} s and the deadline is "
                f"{self._deadline_s:g} s; try again",
                expected,
            )

    async def run(self, work: Callable[[Ticket], Outcome], owner: str = "", within_s: float | None = None) -> Outcome:
        """Run `work` in a thread. Raises Overloaded at once when full, DeadlineExceeded when the deadline passes.

        owner: who asks; no one caller may fill the queue.  within_s: what is left of the deadline, by default all.

        Cancelling the caller drops the work: it never begins, or stops at its next `ticket.check()`.
        """
        self.admit(owner)
        self._under_way += 1
        self._by_owner[owner] += 1
        ticket = Ticket()
        # The thread gets the request's context, so that its trace continues there.
        future = self._pool.submit(copy_context().run, self._timed, work, ticket)
        # The slot is free when the thread is, not when an impatient caller has left.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._release, owner))
        try:
            async with asyncio.timeout(self._deadline_s if within_s is None else max(within_s, 0.0)):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            expected = (self._under_way / self._workers + 1) * self._service_s
            raise DeadlineExceeded(f"not screened within {self._deadline_s:g} s; try again", expected) from error
        finally:
            _drop(ticket, future)

    def drain(self) -> None:
        """Accept nothing more; accepted work continues."""
        self._draining = True

    def close(self) -> None:
        """Finish what was accepted."""
        self.drain()
        self._pool.shutdown(wait=True)

    def _timed(self, work: Callable[[Ticket], Outcome], ticket: Ticket) -> Outcome:
        ticket.began_at = time.perf_counter()
        ticket.check()
        try:
            return work(ticket)
        finally:
            # One slow picture must not make the gate expect all pictures to be slow and refuse everybody else's.
            took = min(time.perf_counter() - ticket.began_at, _STEEP * self._service_s)
            self._service_s += _SMOOTHING * (took - self._service_s)

    def _release(self, owner: str) -> None:
        self._under_way -= 1
        self._by_owner[owner] -= 1
        if not self._by_owner[owner]:
            del self._by_owner[owner]


def _drop(ticket: Ticket, future: Future[Outcome]) -> None:
    if not future.done():
        ticket.dropped = True
        future.cancel()
