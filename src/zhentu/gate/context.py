"""What routes share, and how they reach it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from zhentu.errors import ClientGone, Forbidden
from zhentu.gate.active import ActiveScreener
from zhentu.gate.auth import Caller, Doorkeeper
from zhentu.gate.background import Background
from zhentu.gate.budget import Hold
from zhentu.gate.capacity import Capacity
from zhentu.gate.metrics import GateMetrics
from zhentu.gate.service import ScreeningService
from zhentu.gate.spooled_store import SpooledStore
from zhentu.record.job_store import JobStore
from zhentu.record.pictures import PictureStore
from zhentu.record.store import RecordStore
from zhentu.settings import Settings
from zhentu.types import Record, Role

Answer = TypeVar("Answer")

_bearer = HTTPBearer(auto_error=False, description="An API key: zt_..., see `zhentu keys create`.")


@dataclass(frozen=True, slots=True)
class Gate:
    """One running gate; built when the app starts, closed when it stops."""

    settings: Settings
    store: RecordStore
    spooled: SpooledStore
    active: ActiveScreener
    capacity: Capacity
    service: ScreeningService
    jobs: JobStore
    pictures: PictureStore
    door: Doorkeeper
    metrics: GateMetrics
    background: Background

    def record(self, record_id: str, caller: Caller) -> Record:
        """A record that the caller may read. Raises RecordNotFound, also where it is another tenant's."""
        return self.store.get(record_id, caller.sees)


def gate_of(request: Request) -> Gate:
    """The gate that serves a request."""
    gate: Gate = request.app.state.gate
    return gate


def needs(role: Role) -> Callable[[Request], Coroutine[Any, Any, Caller]]:
    """A dependency: the caller, whose role the middleware checked before the body was read. Raises Forbidden."""

    async def admitted(request: Request, _: Annotated[object, Depends(_bearer)] = None) -> Caller:
        caller: Caller = request.state.caller
        if not caller.role.includes(role):  # in case middleware and router ever disagree about the route
            raise Forbidden(f"this needs the role {role.value}, and the key {caller.name!r} has {caller.role.value}")
        return caller

    admitted.role = role  # type: ignore[attr-defined]  # where `rules` finds what the route asks for
    return admitted


Screens = Annotated[Caller, Depends(needs(Role.SCREEN))]
Reviews = Annotated[Caller, Depends(needs(Role.REVIEW))]
Administers = Annotated[Caller, Depends(needs(Role.ADMIN))]
TheGate = Annotated[Gate, Depends(gate_of)]


def hold_of(request: Request) -> Hold:
    """The request's hold on the gate's memory; it grows before anything more is fetched."""
    hold: Hold = request.state.hold
    return hold


async def unless_gone(request: Request, work: Awaitable[Answer]) -> Answer:
    """Await `work`, and cancel it when the client disconnects. The body must have been read. Raises ClientGone."""
    task = asyncio.ensure_future(work)
    watcher = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone("the client closed the connection")
        return task.result()
    finally:
        for each in (task, watcher):
            each.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
