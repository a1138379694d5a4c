"""Requests for the same thing at the same moment share one piece of work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Shared = TypeVar("Shared")


class _Flight(Generic[Shared]):
    def __init__(self, task: asyncio.Task[Shared]) -> None:
        self.task, self.waiting = task, 0


class Flights(Generic[Shared]):
    """Work in progress by key; use it from one event loop. Work is cancelled when its last waiter leaves."""

    def __init__(self) -> None:
        self._by_key: dict[str, _Flight[Shared]] = {}

    async def join(self, key: str, begin: Callable[[], Awaitable[Shared]]) -> Shared:
        """The outcome of the work under `key`; `begin` starts it if there is none. Its errors reach every waiter."""
        flight = self._by_key.get(key)
        if flight is None:
            flight = self._by_key[key] = _Flight(asyncio.ensure_future(_run(begin)))
            begun = flight
            flight.task.add_done_callback(lambda _: self._land(key, begun))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._land(key, flight)
                flight.task.cancel()

    def _land(self, key: str, flight: _Flight[Shared]) -> None:
        if self._by_key.get(key) is flight:
            del self._by_key[key]


async def _run(begin: Callable[[], Awaitable[Shared]]) -> Shared:
    return await begin()
