"""What surrounds every request: admission, caps on its body as it streams in, one canonical log line, named errors.

Checked before a byte of the body is read: the host, the length of the head, the caller, how large the body may be, and
whether there is room for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from zhentu.errors import BodyTooLarge, BodyTooSlow, ClientGone, UsageError, ZhentuError
from zhentu.gate.auth import Doorkeeper, token_of
from zhentu.gate.budget import Budget, Hold
from zhentu.gate.metrics import GateMetrics
from zhentu.gate.problems import response_of
from zhentu.gate.rules import PROBES, Rule, Rules
from zhentu.gate.tracing import Tracing
from zhentu.gate.visitors import Visitors
from zhentu.printable import hide_keys, printable
from zhentu.types import DEFAULT_TENANT

_log = logging.getLogger("zhentu.gate")
_NOTED = ("record", "action", "code", "key", "tenant", "replayed", "wait_ms", "pictures")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_STEP = 256 * 1024  # bytes reserved at a time for a body of unknown length


@dataclass(frozen=True, slots=True)
class Door:
    """What a request must pass. timeout_s: for its whole body to arrive, and for its answer to be taken."""

    visitors: Visitors
    rules: Rules
    budget: Budget
    timeout_s: float


class Surround:
    """The outermost ASGI layer. Routes leave notes for the log line in `request.state`."""

    def __init__(self, app: ASGIApp, door: Door, metrics: GateMetrics) -> None:
        self._app, self._door, self._metrics = app, door, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._door.timeout_s, self._metrics.tracing)
        state = scope.setdefault("state", {})
        state["request_id"] = exchange.request_id
        try:
            await self._pass(scope, exchange)
        except (ClientDisconnect, ClientGone):
            state["code"], exchange.status = ClientGone.code, ClientGone.http_status
        except ZhentuError as error:
            await exchange.refuse(error)
        except Exception:
            _log.exception("request %s failed", exchange.request_id)
            told = ZhentuError(f"an unexpected error; it is in the log under {exchange.request_id}")
            await exchange.refuse(told)
        finally:
            self._account(scope, exchange)

    async def _pass(self, scope: Scope, exchange: _Exchange) -> None:
        door, state = self._door, scope["state"]
        door.visitors.check(scope)
        rule = door.rules.of(scope)
        owner = ""
        if rule.role is not None:
            headers = Headers(scope=scope)
            token = token_of(headers.get("authorization", ""), headers.get("x-api-key", ""))
            keeper: Doorkeeper = scope["app"].state.gate.door
            peer = scope["client"][0] if scope.get("client") else ""
            state["caller"] = caller = await keeper.admit(token, rule.role, peer)
            state["key"] = owner = caller.key_id
            state["tenant"] = caller.tenant if caller.tenant != DEFAULT_TENANT else ""
        with door.budget.hold(owner) as hold:
            state["hold"] = hold
            exchange.expect(rule, hold)
            await self._app(scope, exchange.receive, exchange.send)

    def _account(self, scope: Scope, exchange: _Exchange) -> None:
        took = time.perf_counter() - exchange.began
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if scope["method"] in _METHODS else "other"  # callers must not make up label values
        self._metrics.requests.labels(method, route, str(exchange.status)).inc()
        self._metrics.stages.labels("total").observe(took)
        state = scope["state"]
        if state.get("code"):
            self._metrics.errors.labels(state["code"]).inc()
        if route in PROBES and exchange.status < 400:  # they would drown the log
            return
        line = {
            "event": "request",
            "request_id": exchange.request_id,
            "method": method,
            # Never the query, which may hold private values; nor a key put in the wrong place.
            "path": printable(hide_keys(scope["path"]))[:300],
            "status": exchange.status,
            "ms": round(took * 1e3, 1),
            "bytes_in": exchange.bytes_in,
            **exchange.noted(),
            **({"trace_id": exchange.trace_id} if exchange.trace_id else {}),
        }
        _log.info(json.dumps(line, ensure_ascii=False), extra={"fields": line})


class _Exchange:
    """One request and its answer, as this layer sees them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, timeout_s: float, tracing: Tracing) -> None:
        self.began = time.perf_counter()
        self.request_id, self.trace_id = str(uuid7()), ""
        self.status, self.bytes_in, self._started, self._complete = 0, 0, False, False
        self._scope, self._receive, self._send, self._tracing = scope, receive, send, tracing
        self._most, self._timeout_s = 0, timeout_s
        self._hold: Hold | None = None
        self._failed: ZhentuError | None = None
        self._replaced = False

    def noted(self) -> dict[str, object]:
        """What routes noted for the log line and the trace."""
        state = self._scope["state"]
        return {name: state[name] for name in _NOTED if state.get(name) not in (None, "")}

    def expect(self, rule: Rule, hold: Hold) -> None:
        """Set the body's cap and reserve its announced length. Raises BodyTooLarge, UsageError, Overloaded."""
        headers = Headers(scope=self._scope)
        self._most, self._hold = rule.most(headers.get("content-type", "").encode("latin-1")), hold
        announced = headers.get("content-length", "")
        if announced.isascii() and announced.isdigit():
            if len(announced) > 15 or int(announced) > self._most:
                raise self._too_large()
            hold.grow(int(announced))
        elif announced:
            raise UsageError("Content-Length must be a number")

    async def receive(self) -> Message:
        """The next part of the body, counted and timed. Raises BodyTooLarge, BodyTooSlow, Overloaded."""
        if self._complete:  # from here on it only reports that the client disconnects, at any time
            return await self._receive()
        try:
            return await self._part()
        except ZhentuError as error:
            self._failed = error  # the form parser may take it for a broken form
            raise

    async def send(self, message: Message) -> None:
        """Pass an answer on and note its status. An error with the body takes precedence over what was made of it."""
        if self._replaced:
            return
        if self._failed is not None and not self._started:
            await self.refuse(self._failed)
            self._replaced = True
            return
        if message["type"] == "http.response.start":
            self._started, self.status = True, message["status"]
            # The request's span ends with its answer.
            self.trace_id = self._tracing.note({"request_id": self.request_id, **self.noted()})
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._send(message)
        except TimeoutError as error:
            raise ClientGone("the client does not read its answer") from error

    async def refuse(self, error: ZhentuError) -> None:
        """Answer with an error, unless an answer has already begun."""
        self._scope["state"]["code"], self._failed = error.code, None
        if self._started:
            self.status = error.http_status
            return
        await response_of(error)(self._scope, self._receive, self.send)

    async def _part(self) -> Message:
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
            if self._hold is not None and self.bytes_in > self._hold.count:
                self._hold.grow(max(_STEP, self.bytes_in - self._hold.count))
        return message

    def _too_large(self) -> BodyTooLarge:
        shown = f"{self._most / 2**20:.0f} MiB" if self._most >= 2**20 else f"{self._most / 2**10:.0f} KiB"
        return BodyTooLarge(f"the request has more than {shown}; send less at once")
