"""The HTTP gate: POST a picture, get a decision."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from zhentu import __version__
from zhentu.banks.bank import Banks
from zhentu.bootstrap.desk import build_desk
from zhentu.bootstrap.screener import build_screener
from zhentu.bootstrap.stores import build_banks, build_store
from zhentu.errors import ConfigError, UsageError, ZhentuError
from zhentu.gate.active import ActiveScreener
from zhentu.gate.alone import by_load
from zhentu.gate.auth import Doorkeeper, is_loopback
from zhentu.gate.background import Background
from zhentu.gate.budget import Budget
from zhentu.gate.capacity import Capacity
from zhentu.gate.context import Gate
from zhentu.gate.deliver import Deliverer
from zhentu.gate.flights import Flights
from zhentu.gate.forms import checked
from zhentu.gate.job_runner import JobRunner
from zhentu.gate.metrics import GateMetrics
from zhentu.gate.middleware import Door, Surround
from zhentu.gate.problems import of_http, response_of
from zhentu.gate.requests import UrlSubmission
from zhentu.gate.rules import Rules
from zhentu.gate.schemas import ProblemAnswer
from zhentu.gate.service import ScreeningService
from zhentu.gate.spooled_store import SpooledStore
from zhentu.gate.tracing import Tracing
from zhentu.gate.visitors import Visitors
from zhentu.intake.cell import DecodeCells
from zhentu.intake.fetch import FetchLimits, Outbound
from zhentu.record.history import ModelHistory
from zhentu.record.job_store import JobStore
from zhentu.record.keys import KeyStore
from zhentu.record.outbox import Outbox
from zhentu.record.pictures import PictureStore
from zhentu.record.shadow import ShadowStore
from zhentu.record.spool import Spool
from zhentu.record.store import RecordStore
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.validation import problems_of

_FOR_DECODING = 0.8  # of the deadline: whoever sent a slow picture is still told so


def _build_screener(settings: Settings) -> Screener:
    return build_screener(settings, golden=True, at_once=settings.worker_count)


def create_app(  # long: start and stop of one application, in order
    settings: Settings,
    make_screener: Callable[[Settings], Screener] = _build_screener,
    make_store: Callable[[Settings], RecordStore] = build_store,
    tracing: Tracing | None = None,
    warm: bool = False,
) -> FastAPI:
    """The application. The model is loaded and its golden scores checked when it starts, not at import.

    warm: start a decoding process at once, so that the first unusual picture does not wait for it.
    Raises ConfigError if a setting without a default is missing, or settings contradict each other.
    """
    _check(settings)
    tracing = tracing or Tracing.from_environment()
    metrics, budget = GateMetrics(tracing), Budget(settings.gate.held_bytes)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        cells = DecodeCells(settings.worker_count, _FOR_DECODING * settings.gate.deadline_s, settings.gate.decode_bytes)
        capacity = Capacity(settings.worker_count, settings.gate.queue_size, settings.gate.deadline_s)
        try:
            store = await asyncio.to_thread(make_store, settings)
            banks = await asyncio.to_thread(build_banks, store)
            make = _with(make_screener, banks, cells, capacity)
            gate = await asyncio.to_thread(_gate, settings, store, make, metrics, budget, capacity)
            desk = await asyncio.to_thread(
                build_desk, settings, store, banks, lambda: gate.active.screener, app.state.open_token, cells
            )
        except ZhentuError as error:
            app.state.failed = error  # `zhentu serve` says it in one line and with its exit code
            raise
        app.state.gate, app.state.desk = gate, desk
        gate.background.start()
        banks.start()
        warming = asyncio.gather(*([asyncio.to_thread(cells.warm)] if warm else []), return_exceptions=True)
        yield
        gate.capacity.drain()
        await asyncio.gather(*gate.service.asides, return_exceptions=True)
        await asyncio.to_thread(gate.capacity.close)
        await asyncio.to_thread(banks.stop)
        await warming  # a process that did not start is tried again when it is needed
        await asyncio.to_thread(cells.close)
        await gate.background.stop()
        await asyncio.to_thread(gate.spooled.spool.close)
        await asyncio.to_thread(store.close)
        await asyncio.to_thread(tracing.close)

    app = FastAPI(
        title="zhentu",
        version=__version__,
        summary="真图: is this product picture true?",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load their scripts from a third party
        redoc_url=None,
        dependencies=[Depends(checked)],
    )
    app.state.open_token = secrets.token_urlsafe(24) if settings.gate.open else ""
    app.add_exception_handler(ZhentuError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    from zhentu.gate.routes import ROUTERS

    for router in ROUTERS:
        app.include_router(router)
    _describe(app)
    routes = [each for router in ROUTERS for each in router.routes]
    rules = Rules(routes, settings.decode.max_bytes, settings.gate.batch_size, budget.share)
    visitors = Visitors.of(settings.gate.allowed_hosts, settings.gate.host, settings.gate.open)
    app.add_middleware(Surround, door=Door(visitors, rules, budget, settings.gate.body_timeout_s), metrics=metrics)
    tracing.instrument(app)
    return app


def _with(
    make_screener: Callable[[Settings], Screener], banks: Banks, cells: DecodeCells, capacity: Capacity
) -> Callable[[Settings], Screener]:
    def make(settings: Settings) -> Screener:
        screener = replace(make_screener(settings), bank=banks, decoder=cells)
        return by_load(screener, settings.worker_count, lambda: capacity.is_alone)

    return make


def _gate(
    settings: Settings,
    store: RecordStore,
    make_screener: Callable[[Settings], Screener],
    metrics: GateMetrics,
    budget: Budget,
    capacity: Capacity,
) -> Gate:
    database = store.database
    door = Doorkeeper(KeyStore(database), settings)
    active = ActiveScreener(settings, make_screener, ModelHistory(database), metrics.stages.labels("model").observe)
    spooled = SpooledStore(store, Spool(settings.spool_dir))
    limits = FetchLimits(
        settings.fetch.ports, settings.fetch.allow, settings.fetch.timeout_s, settings.decode.max_bytes
    )
    outbound, pictures, jobs = Outbound(limits), PictureStore(settings.store.pictures), JobStore(database)
    shadow = ShadowStore(database)
    service = ScreeningService(
        settings, active, spooled, shadow, capacity, outbound, pictures, metrics, Flights(), set()
    )
    secret = settings.webhook.secret.get_secret_value() if settings.webhook.secret else None
    deliverer = Deliverer(Outbox(database), Outbound(limits), secret, metrics)
    runner = JobRunner(service, jobs, store, budget)
    background = Background(active, spooled, runner, deliverer, metrics, settings.gate.reload_s)
    return Gate(settings, store, spooled, active, capacity, service, jobs, pictures, door, metrics, background)


def _check(settings: Settings) -> None:
    problems = []
    if settings.gate.on_error is None:
        problems.append(
            "gate.on_error: must be chosen, it has no default: `block` answers with an error while the gate is in "
            "trouble, `allow_and_queue` lets pictures through and screens them afterwards (see --on-error)"
        )
    if settings.gate.open and not is_loopback(settings.gate.host):
        problems.append(
            f"gate.open: the gate would answer anybody on {settings.gate.host}; open mode is for 127.0.0.1 or ::1, "
            "elsewhere make keys with `zhentu keys create`"
        )
    if settings.webhook.url and settings.webhook.secret is None:
        problems.append("webhook.secret: is needed to sign what goes to webhook.url; make one: openssl rand -base64 32")
    if problems:
        raise ConfigError("settings", problems)


def _describe(app: FastAPI) -> None:
    """OpenAPI as FastAPI makes it, without its 422 answers: here invalid calls are answered with 400."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            for operations in document["paths"].values():
                for operation in operations.values():
                    if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                        del operation["responses"]["422"]
            schemas = document["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for model in (ProblemAnswer, UrlSubmission):
                schemas[model.__name__] = model.model_json_schema()
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ZhentuError)  # noqa: S101 - registered for this class alone
    request.state.code = error.code
    return response_of(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    return await _problem(request, UsageError("; ".join(problems_of(error))))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    response = await _problem(request, of_http(error.status_code, str(error.detail)))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(sorted(_methods(request))) or response.headers.get("Allow", "")
    return response


def _methods(request: Request) -> set[str]:
    """Every method of the requested path; the router itself names only those of the first matching route."""
    from zhentu.gate.routes import ROUTERS

    path = request.url.path
    ours = (each for router in ROUTERS for each in router.routes if isinstance(each, Route))
    routes = [each for each in ours if each.path_regex.match(path)]
    exact = [each for each in routes if each.path == path]  # /banks/lookup is not a bank called "lookup"
    return {method for each in exact or routes for method in each.methods or ()}
