"""Fairness between owners of outbound calls: whoever names a slow host waits for it alone.

Our own code, not a library: slots and breakers belong to names that strangers choose, so they must be dropped again,
and the outbox asks which of them are closed.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

_MOST = 10_000  # names whose failures are remembered


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """Concurrent calls. per_host: of one owner to one host and port.  per_owner: to all hosts."""

    total: int = 64
    per_host: int = 4
    per_owner: int = 8


class Lanes:
    """Slots for calls; use it from one event loop. The owner without a name (the gate itself) has no limit per owner.

    The host's slot is acquired first: waiting for one host takes no slot from another.
    """

    def __init__(self, limits: LaneLimits) -> None:
        self._limits = limits
        self._total = asyncio.Semaphore(limits.total)
        self._named: dict[tuple[str, str], _Lane] = {}

    @asynccontextmanager
    async def place(self, owner: str, host: str) -> AsyncIterator[None]:
        """Wait for a slot for one call; limit the wait by a timeout around it."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._lane((owner, host), self._limits.per_host))
            if owner:
                await stack.enter_async_context(self._lane((owner, ""), self._limits.per_owner))
            await stack.enter_async_context(self._total)
            yield

    @asynccontextmanager
    async def _lane(self, name: tuple[str, str], places: int) -> AsyncIterator[None]:
        lane = self._named.setdefault(name, _Lane(asyncio.Semaphore(places)))
        lane.users += 1
        try:
            async with lane.places:
                yield
        finally:
            lane.users -= 1
            if not lane.users:
                self._named.pop(name, None)


class Breakers:
    """Circuit breakers by owner and host: after consecutive failures nothing is tried for a while.

    after: failures in a row.  first_s: seconds of rest after them; each further failure doubles it, up to `most_s`.
    """

    def __init__(
        self,
        after: int = 3,
        first_s: float = 5.0,
        most_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._after, self._first_s, self._most_s, self._clock = after, first_s, most_s, clock
        self._named: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def rests_s(self, owner: str, host: str) -> float:
        """Seconds until a call may be tried again; 0 when it may now."""
        failures = self._named.get((owner, host))
        return 0.0 if failures is None else max(failures.until - self._clock(), 0.0)

    def resting(self) -> list[tuple[str, str]]:
        """Every owner and host with an open breaker."""
        now = self._clock()
        return [name for name, failures in self._named.items() if failures.until > now]

    def succeeded(self, owner: str, host: str) -> None:
        """A call was answered."""
        self._named.pop((owner, host), None)

    def failed(self, owner: str, host: str) -> None:
        """A call was not answered."""
        failures = self._named.setdefault((owner, host), _Failures())
        failures.count += 1
        if failures.count >= self._after:
            rest = min(self._first_s * 2.0 ** min(failures.count - self._after, 16), self._most_s)
            failures.until = self._clock() + rest
        self._named.move_to_end((owner, host))
        while len(self._named) > _MOST:
            self._named.popitem(last=False)


@dataclass(slots=True)
class _Lane:
    places: asyncio.Semaphore
    users: int = 0


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0
