"""The HTTP gate: POST a picture, get a decision."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from zhentu import __version__
from zhentu.bootstrap import Screener, build_screener, build_store
from zhentu.errors import Overloaded, UsageError, ZhentuError
from zhentu.gate.capacity import Capacity
from zhentu.gate.metrics import GateMetrics
from zhentu.record.store import RecordStore
from zhentu.settings import Settings

_build_screener = partial(build_screener, golden=True)
_log = logging.getLogger("zhentu.gate")


@dataclass(frozen=True, slots=True)
class Gate:
    """What the routes share; built when the app starts, closed when it stops."""

    screener: Screener
    store: RecordStore
    capacity: Capacity
    metrics: GateMetrics
    settings: Settings


def create_app(
    settings: Settings,
    make_screener: Callable[[Settings], Screener] = _build_screener,
    make_store: Callable[[Settings], RecordStore] = build_store,
) -> FastAPI:
    """The application. The model is loaded and its golden scores checked when it starts, not at import."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        screener = await asyncio.to_thread(make_screener, settings)
        store = await asyncio.to_thread(make_store, settings)
        capacity = Capacity(settings.worker_count, settings.queue_size, settings.deadline_s)
        gate = Gate(screener, store, capacity, GateMetrics(), settings)
        policy = screener.policy
        gate.metrics.versions.labels(str(screener.detector.entry.ref), policy.version, policy.mode.value).set(1)
        app.state.gate = gate
        yield
        await asyncio.to_thread(capacity.close)
        await asyncio.to_thread(store.close)

    app = FastAPI(title="zhentu", version=__version__, summary="真图: is this product picture true?", lifespan=lifespan)
    app.add_exception_handler(ZhentuError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.middleware("http")(_log_line)
    from zhentu.gate.labels import router as labels_router
    from zhentu.gate.routes import router

    app.include_router(router)
    app.include_router(labels_router)
    return app


def problem(error: ZhentuError) -> JSONResponse:
    """An error as RFC 9457 problem details."""
    headers = {"Retry-After": f"{max(round(error.retry_after_s), 1)}"} if isinstance(error, Overloaded) else None
    content = {
        "type": f"urn:zhentu:{error.code}",
        "title": error.code.replace("_", " "),
        "status": error.http_status,
        "detail": str(error),
        "code": error.code,
    }
    return JSONResponse(content, error.http_status, headers, media_type="application/problem+json")


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ZhentuError)  # noqa: S101 - registered for this class alone
    gate: Gate = request.app.state.gate
    gate.metrics.errors.labels(error.code).inc()
    request.state.code = error.code
    return problem(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return await _problem(request, UsageError(wrong))


async def _log_line(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """One canonical line a request."""
    began = time.perf_counter()
    response = await call_next(request)
    line = {
        "method": request.method,
        "path": request.url.path,
        "status": response.status_code,
        "ms": round((time.perf_counter() - began) * 1e3, 1),
        "record": getattr(request.state, "record_id", None),
        "action": getattr(request.state, "action", None),
        "code": getattr(request.state, "code", None),
    }
    _log.info(json.dumps({key: value for key, value in line.items() if value is not None}))
    return response
