"""The gate's server: uvicorn, with limits on what a connection may cost before it has asked for anything.

uvicorn limits neither the length of a head nor the time it may take, and keeps an idle connection for ever.
A reverse proxy in front does that as well; the gate does not rely on one.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zhentu.errors import ConfigError
from zhentu.gate.visitors import HEAD_BYTES
from zhentu.settings import Settings

_KEEP_ALIVE_S = 75  # longer than the usual load balancer's 60 s: no race on idle connections
_PIPELINED = 16  # requests sent before the first was answered
_THROWN_AWAY = 64 * 1024 * 1024  # bytes of a refused body that are read and discarded so that the answer arrives
_FRAMING = 64 * 1024  # bytes of framing in a body: chunk sizes, extensions, trailers
_OTHER_FILES = 256  # file descriptors beside the connections: store, spool, models, outbound calls


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits on connections.

    most: connections at once; beyond it the one that has been idle longest is closed.  head_s: for request line and
    headers to arrive.  refused_s: for the body of a refused request to be thrown away.
    """

    most: int = 512
    head_s: float = 10.0
    refused_s: float = 30.0


def guarded(limits: ConnectionLimits) -> type[HttpToolsProtocol]:  # long: a class that is made for each server
    """Uvicorn's protocol under these limits; each server needs its own."""
    idle: OrderedDict[HttpToolsProtocol, None] = OrderedDict()  # connections without a request, longest first

    class Guarded(HttpToolsProtocol):
        """One connection."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._in_head, self._head_bytes, self._dropped = False, 0, 0
            self._framing, self._bodies = 0, 0
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            idle[self] = None
            self._allow(limits.head_s)
            if len(self.connections) > limits.most:
                longest, _ = idle.popitem(last=False)
                longest.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            idle.pop(self, None)
            self._at_ease()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            bodies = self._bodies
            super().data_received(data)
            if self._in_head:  # a part of a head: what the parser holds of it counts
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                    self._refuse_head()
            elif self.cycle is not None and self.cycle.more_body and bodies == self._bodies:
                self._framing += len(data)
                if self._framing > _FRAMING:
                    self.transport.abort()
            elif self._timer is None and self.timeout_keep_alive_task is None and self._is_idle():
                self._allow(limits.head_s)  # empty lines between requests stop uvicorn's own timer

        def on_message_begin(self) -> None:
            self._in_head, self._head_bytes, self._framing = True, 0, 0
            if self._timer is None:
                self._allow(limits.head_s)
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            idle.pop(self, None)
            self._at_ease()
            if len(self.pipeline) >= _PIPELINED:
                self.transport.abort()
                return
            super().on_headers_complete()

        def on_header(self, name: bytes, value: bytes) -> None:
            if self._in_head:
                super().on_header(name, value)  # trailers are read and dropped

        def on_body(self, body: bytes) -> None:
            self._bodies += 1
            if self.cycle.response_complete:
                self._dropped += len(body)
                if self._dropped > _THROWN_AWAY:
                    self.transport.abort()
                return
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._dropped = 0
            if self.cycle.response_complete:
                self._at_ease()
                self.timeout_keep_alive_task = self.loop.call_later(_KEEP_ALIVE_S, self.timeout_keep_alive_handler)
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.transport.is_closing():
                # What the client does not read within this time is thrown away, and the connection is closed.
                self._allow(limits.refused_s)
            elif not self.pipeline:
                idle[self] = None
                if self.cycle.more_body and self._timer is None:
                    self._allow(limits.refused_s)

        def timeout_keep_alive_handler(self) -> None:
            if self.transport.get_write_buffer_size():
                self.transport.abort()  # closing would wait for a client that does not read
            super().timeout_keep_alive_handler()

        def _allow(self, seconds: float) -> None:
            self._at_ease()
            self._timer = self.loop.call_later(seconds, self.transport.abort)

        def _is_idle(self) -> bool:
            return self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body)

        def _at_ease(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _refuse_head(self) -> None:
            told = f"request line and headers have more than {HEAD_BYTES // 1024} KiB; send less".encode()
            head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\nconnection: close\r\n"
            self.transport.write(head + b"content-length: %d\r\n\r\n" % len(told) + told)
            self.transport.close()
            self._allow(1.0)

    return Guarded


def server_config(app: FastAPI, settings: Settings, **changed: Any) -> uvicorn.Config:
    """How the gate is served. No header is believed about where a request came from; the peer's address counts."""
    limits = ConnectionLimits(settings.gate.connections, settings.gate.head_timeout_s, settings.gate.body_timeout_s)
    options: dict[str, Any] = {
        "host": settings.gate.host,
        "port": settings.gate.port,
        "http": guarded(limits),
        "ws": "none",
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,  # the gate writes one canonical line a request itself
        "log_level": "warning",
        "timeout_graceful_shutdown": int(settings.gate.deadline_s) + 5,  # accepted requests are finished
        "timeout_keep_alive": _KEEP_ALIVE_S,
    }
    return uvicorn.Config(app, **options | changed)


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of `host`, bound and not listening yet; the server listens once it can answer.

    port: 0 takes a free one, the same for all.  Raises ConfigError, so that a port in use is told before anything is
    printed or loaded.
    """
    bound: list[socket.socket] = []
    problem: OSError | None = None
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                bound.append(_bound(socket.socket(family, kind, protocol), address[0], port, address[2:]))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                problem = error  # "localhost" is also ::1, where a machine may have no IPv6
                continue
            port = int(bound[0].getsockname()[1])
        if not bound:
            raise problem or OSError(f"{host} has no address")
    except OSError as error:
        for each in bound:
            each.close()
        raise ConfigError("settings", [_unbound(host, port, error)]) from error
    return bound


def _bound(made: socket.socket, host: str | int, port: int, rest: tuple[Any, ...]) -> socket.socket:
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port, *rest))
    except OSError:
        made.close()
        raise
    return made


def _unbound(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"gate.port: {port} on {host} is used by another program; end it, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"gate.port: {port} may not be used by this user; choose one from 1024 with --port"
    return (
        f"gate.host: cannot listen on {host}: {error.strerror or error}; choose an address of this machine with --host"
    )


def raise_file_limit(connections: int) -> None:
    """Raise the limit on open files to what the connections need, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
