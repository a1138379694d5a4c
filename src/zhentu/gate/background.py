"""What the gate does besides answering: replay the spool, follow policy and model, work off jobs, deliver messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from zhentu.errors import DeadlineExceeded, DependencyError, Overloaded, ZhentuError
from zhentu.gate.active import ActiveScreener
from zhentu.gate.deliver import Deliverer
from zhentu.gate.job_runner import JobRunner
from zhentu.gate.metrics import GateMetrics
from zhentu.gate.spooled_store import SpooledStore

_TICK_S = 0.5
_log = logging.getLogger("zhentu.gate")


class Background:
    """The background loops of one gate; each continues even if one of its turns fails."""

    def __init__(
        self,
        active: ActiveScreener,
        spooled: SpooledStore,
        jobs: JobRunner,
        deliverer: Deliverer,
        metrics: GateMetrics,
        reload_s: float,
    ) -> None:
        self._active, self._spooled, self._jobs, self._deliverer = active, spooled, jobs, deliverer
        self._metrics, self._reload_s = metrics, reload_s
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin every loop."""
        self.show_versions()
        turns: tuple[tuple[Callable[[], Awaitable[bool]], float], ...] = (
            (self._replay, _TICK_S),
            (self._follow, self._reload_s),
            (self._jobs.turn, _TICK_S),
            (self._deliverer.turn, _TICK_S),
            (self._measure, 5.0),
        )
        self._tasks = [asyncio.create_task(_forever(turn, pause)) for turn, pause in turns]

    async def stop(self) -> None:
        """End every loop, and write what is still waiting."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._jobs.stop()
        await self._deliverer.stop()
        with contextlib.suppress(ZhentuError):
            await self._replay()

    def show_versions(self) -> None:
        """Report what is in force in the metrics."""
        active, shadow = self._active.screener, self._active.shadow
        self._metrics.versions.clear()
        self._metrics.versions.labels(
            str(active.detector.entry.ref),
            active.policy.version,
            active.policy.mode.value,
            str(shadow.detector.entry.ref) if shadow else "",
        ).set(1)

    async def _replay(self) -> bool:
        try:
            done = await asyncio.to_thread(self._spooled.replay)
        except DependencyError:
            self._metrics.store_up.set(0)
            return False
        finally:
            self._metrics.spooled.set(self._spooled.spool.waiting())
        self._metrics.store_up.set(1)
        if done:
            _log.info("the store is back: %d decisions were written from the spool", done)
        return False

    async def _follow(self) -> bool:
        before = self._active.screener.detector.entry.ref
        if await asyncio.to_thread(self._active.refresh):
            self.show_versions()
            if self._active.screener.detector.entry.ref != before:
                self._metrics.window.clear()
        return False

    async def _measure(self) -> bool:
        reference = self._active.screener.detector.entry.reference
        for output, index in (await asyncio.to_thread(self._metrics.window.indices, reference)).items():
            self._metrics.drift.labels(output).set(index)
        self._metrics.jobs.set(await asyncio.to_thread(self._jobs.store.waiting))
        self._metrics.messages.set(await asyncio.to_thread(self._deliverer.outbox.waiting))
        return False


async def _forever(turn: Callable[[], Awaitable[bool]], pause_s: float) -> None:
    """Take turns; a turn that reports more work is followed by the next at once."""
    while True:
        more = False
        try:
            more = await turn()
        except (Overloaded, DeadlineExceeded):
            pass  # busy with callers, who come first
        except DependencyError as error:
            _log.warning("%s", error)
        except Exception:
            _log.exception("background work failed")
        if not more:
            await asyncio.sleep(pause_s)
