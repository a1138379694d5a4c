"""The guarded outbound client: every call to an address that somebody else named goes through here.

Schemes and ports are listed; the name is resolved once, every address it has is checked, and the connection goes to
a checked address, so that a name cannot point elsewhere between check and use (DNS rebinding). Each redirect is checked
in the same way. Bytes and time are capped, and time spent waiting for a slot counts: whoever names a slow host waits
alone. Proxies from the environment are ignored: they would connect to unchecked addresses.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpcore

from zhentu.errors import FetchError, FetchRefused
from zhentu.intake.guard import (
    REDIRECTS,
    SAFE,
    Network,
    allowed,
    checked_url,
    host_and_port,
    network_host,
    port_of,
    redirected,
    shown_host,
    target_of,
    tls_context,
)
from zhentu.intake.lanes import Breakers, LaneLimits, Lanes
from zhentu.intake.sniff import PICTURES, kind_of

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
Reserve = Callable[[int], None]

_SNIFF = 32  # bytes that tell a picture from a page
_STEP = 256 * 1024  # bytes that are reserved at a time
_REPLY_CAP = 64 * 1024  # bytes of an answer to a webhook that are read


def _unlimited(_: int) -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What an outbound call may do.

    allow: networks exempt from the guard, e.g. the platform's own picture store.  timeout_s: for a whole call, from
    the moment it is asked for.
    """

    ports: frozenset[int] = frozenset({80, 443})
    allow: tuple[Network, ...] = ()
    timeout_s: float = 5.0
    max_bytes: int = 30 * 1024 * 1024
    max_redirects: int = 3
    lanes: LaneLimits = field(default_factory=LaneLimits)


class Outbound:
    """An outbound client; use it from one event loop.

    resolve: name and port -> addresses; the system's resolver by default.
    """

    def __init__(self, limits: FetchLimits | None = None, resolve: Resolver | None = None) -> None:
        self._limits = limits or FetchLimits()
        self._backend = _Guarded(self._limits, resolve or _system_resolver)
        self._lanes, self._breakers = Lanes(self._limits.lanes), Breakers(after=5)

    async def get_picture(self, url: str, owner: str = "", reserve: Reserve = _unlimited) -> bytes:
        """The bytes behind `url`.

        owner: for whom, e.g. a key; concurrency is limited per owner.  reserve: told how many bytes are coming.
        Raises FetchRefused if the address is not allowed, FetchError if it gives no picture.
        """
        host = host_and_port(url, self._limits.ports)
        if (rest := self._breakers.rests_s(owner, host)) > 0:
            raise FetchError(f"{host} has not answered recently; it is tried again in {rest:.0f} s")
        try:
            async with self._within_time(url), self._lanes.place(owner, host):
                body = await self._follow(url, reserve)
        except NoAnswer:
            self._breakers.failed(owner, host)
            raise
        self._breakers.succeeded(owner, host)
        return body

    async def _follow(self, url: str, reserve: Reserve) -> bytes:
        for _ in range(self._limits.max_redirects + 1):
            status, location, body = await self._get(url, reserve)
            if status not in REDIRECTS:
                return body
            url = redirected(url, location)
        raise FetchError(f"the URL redirects more than {self._limits.max_redirects} times; give the final URL")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], owner: str = "") -> int:
        """Send `body` without following redirects; returns the status. Raises FetchRefused, FetchError."""
        host = host_and_port(url, self._limits.ports)
        async with (
            self._within_time(url),
            self._lanes.place(owner, host),
            self._pool() as pool,
            self._stream(pool, "POST", url, headers, body) as response,
        ):
            await _read(response.aiter_stream(), _REPLY_CAP, None, _unlimited)
            return int(response.status)

    async def _get(self, url: str, reserve: Reserve) -> tuple[int, str, bytes]:
        headers = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "zhentu"}
        async with self._pool() as pool, self._stream(pool, "GET", url, headers, None) as response:
            answered = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            location = answered.get(b"location", "")
            if response.status in REDIRECTS and location:
                return response.status, location, b""
            if response.status != 200:
                raise FetchError(f"the URL answered {response.status}; it must give the picture with 200")
            if answered.get(b"content-encoding", "identity").lower() != "identity":
                raise FetchError("the URL sends a compressed body; send pictures uncompressed")
            announced = answered.get(b"content-length", "")
            if announced.isdigit() and int(announced) > self._limits.max_bytes:
                raise FetchError(_too_many(self._limits.max_bytes))
            return 200, "", await _read(response.aiter_stream(), self._limits.max_bytes, _check_picture, reserve)

    def _pool(self) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(tls_context(), network_backend=self._backend, max_keepalive_connections=0)

    def _stream(
        self, pool: httpcore.AsyncConnectionPool, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Any:
        parts = checked_url(url, self._limits.ports)
        port = port_of(parts)
        return pool.stream(
            method,
            httpcore.URL(
                scheme=parts.scheme, host=network_host(parts), port=port, target=quote(target_of(parts), safe=SAFE)
            ),
            headers=[("Host", f"{shown_host(parts)}:{port}"), ("Connection", "close"), *headers.items()],
            content=body,
        )

    def _within_time(self, url: str) -> _Within:
        return _Within(url, self._limits.timeout_s)


class NoAnswer(FetchError):
    """The host itself did not answer."""


class _Within:
    """One time limit over a whole call, and the client's errors as ours; they do not repeat the URL's path."""

    def __init__(self, url: str, seconds: float) -> None:
        self._host, self._seconds = urlsplit(url).hostname or "?", seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise NoAnswer(f"{self._host} did not answer within {self._seconds:g} s") from late
        failures = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, ssl.SSLError)
        if isinstance(error, failures):
            raise NoAnswer(f"{self._host}: {type(error).__name__}: the connection failed") from error


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, limits: FetchLimits, resolve: Resolver) -> None:
        self._limits, self._resolve, self._inner = limits, resolve, httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise FetchError(f"{host}: no such name") from error
        for address in addresses:
            if not allowed(address, self._limits.allow):
                raise FetchRefused(f"{host} has an address that is not public; zhentu does not go there")
        if not addresses:
            raise FetchError(f"{host}: has no address")
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise FetchRefused("zhentu does not fetch from local sockets")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _system_resolver(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def _read(stream: Any, most: int, check: Callable[[bytes], None] | None, reserve: Reserve) -> bytes:
    body, reserved = bytearray(), 0
    async for chunk in stream:
        if len(body) + len(chunk) > reserved:
            step = max(_STEP, len(body) + len(chunk) - reserved)
            reserve(step)
            reserved += step
        body += chunk
        if check is not None and len(body) >= _SNIFF:
            check(bytes(body[:_SNIFF]))
            check = None
        if len(body) > most:
            raise FetchError(_too_many(most))
    if check is not None:
        check(bytes(body))
    return bytes(body)


def _check_picture(start: bytes) -> None:
    if kind_of(start) not in PICTURES:
        raise FetchError("the URL's content is not a picture that zhentu can read")


def _too_many(most: int) -> str:
    return f"the URL gives more than {most / 2**20:.0f} MiB; send the picture smaller"
