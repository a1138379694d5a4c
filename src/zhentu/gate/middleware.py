"""What surrounds every request: caps on its body while it streams in, one canonical log line, errors with a name."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from zhentu.errors import BodyTooLarge, BodyTooSlow, ClientGone, ZhentuError
from zhentu.gate.metrics import GateMetrics
from zhentu.gate.problems import response_of
from zhentu.gate.tracing import Tracing

_log = logging.getLogger("zhentu.gate")
_NOTED = ("record", "action", "code", "key", "replayed", "wait_ms", "pictures")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_QUIET = ("/livez", "/readyz", "/metrics")  # probes that went well would drown the log


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Caps of a request's body. timeout_s: for all of it to arrive."""

    single_bytes: int
    batch_bytes: int
    timeout_s: float

    def of(self, path: str) -> int:
        """The cap of one path."""
        return self.batch_bytes if path in ("/v1/screen/batch", "/v1/jobs") else self.single_bytes


class Surround:
    """The outermost ASGI layer. Routes leave notes for the log line in `request.state`."""

    def __init__(self, app: ASGIApp, limits: BodyLimits, metrics: GateMetrics) -> None:
        self._app, self._limits, self._metrics = app, limits, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._limits, self._metrics.tracing)
        state = scope.setdefault("state", {})
        state["request_id"] = exchange.request_id
        try:
            exchange.check_announced()
            await self._app(scope, exchange.receive, exchange.send)
        except (ClientDisconnect, ClientGone):
            state["code"], exchange.status = ClientGone.code, ClientGone.http_status
        except ZhentuError as error:
            await exchange.refuse(error)
        except Exception:
            _log.exception("request %s broke down", exchange.request_id)
            told = ZhentuError(f"an error that was not foreseen; it stands in the log under {exchange.request_id}")
            await exchange.refuse(told)
        finally:
            self._account(scope, exchange)

    def _account(self, scope: Scope, exchange: _Exchange) -> None:
        took = time.perf_counter() - exchange.began
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if scope["method"] in _METHODS else "other"  # callers must not make up label values
        self._metrics.requests.labels(method, route, str(exchange.status)).inc()
        self._metrics.stages.labels("total").observe(took)
        state = scope["state"]
        if state.get("code"):
            self._metrics.errors.labels(state["code"]).inc()
        if route in _QUIET and exchange.status < 400:
            return
        line = {
            "event": "request",
            "request_id": exchange.request_id,
            "method": scope["method"],
            "path": scope["path"],  # never the query, which may hold what the caller did not mean to publish
            "status": exchange.status,
            "ms": round(took * 1e3, 1),
            "bytes_in": exchange.bytes_in,
            **exchange.noted(),
            **({"trace_id": exchange.trace_id} if exchange.trace_id else {}),
        }
        _log.info(json.dumps(line, ensure_ascii=False))


class _Exchange:
    """One request and its answer, as this layer sees them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: BodyLimits, tracing: Tracing) -> None:
        self.began = time.perf_counter()
        self.request_id, self.trace_id = str(uuid7()), ""
        self.status, self.bytes_in, self._started, self._complete = 0, 0, False, False
        self._scope, self._receive, self._send, self._tracing = scope, receive, send, tracing
        self._most, self._timeout_s = limits.of(scope["path"]), limits.timeout_s

    def noted(self) -> dict[str, object]:
        """What routes left for the log line and the trace."""
        state = self._scope["state"]
        return {name: state[name] for name in _NOTED if state.get(name) not in (None, "")}

    def check_announced(self) -> None:
        """Refuse a body that says beforehand that it is too large."""
        announced = dict(self._scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._most:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next part of the body, counted and timed. Raises BodyTooLarge, BodyTooSlow."""
        if self._complete:  # from here on it only tells when the client goes, which may take as long as it likes
            return await self._receive()
        left = self._timeout_s - (time.perf_counter() - self.began)
        try:
            async with asyncio.timeout(max(left, 0)):
                message = await self._receive()
        except TimeoutError as error:
            raise BodyTooSlow(
                f"the body did not arrive within {self._timeout_s:g} s; send it faster or in smaller parts"
            ) from error
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self.bytes_in > self._most:
                raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on, and see its status."""
        if message["type"] == "http.response.start":
            self._started, self.status = True, message["status"]
            # The request's span ends with its answer.
            self.trace_id = self._tracing.note({"request_id": self.request_id, **self.noted()})
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
        await self._send(message)

    async def refuse(self, error: ZhentuError) -> None:
        """Answer with an error, unless an answer is under way."""
        self._scope["state"]["code"] = error.code
        if self._started:
            self.status = error.http_status
            return
        await response_of(error)(self._scope, self._receive, self.send)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"the request has more than {self._most / 2**20:.0f} MiB; send less at once")
