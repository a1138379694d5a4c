"""GET over http and https for a scan: many threads, persistent connections, every address checked, every byte counted.

The same guard as the gate's `Outbound` (schemes, ports, no private addresses, redirects checked), without its event
loop and its fairness between owners: a scan has one owner and its own pace.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpcore

from zhentu.errors import FetchError, FetchRefused, PictureNotFound, SourceUnreadable
from zhentu.intake.guard import (
    REDIRECTS,
    SAFE,
    Network,
    allowed,
    checked_url,
    network_host,
    port_of,
    redirected,
    shown_host,
    target_of,
    tls_context,
)

_MOST_REDIRECTS = 5
_PASSING = (408, 425, 429)  # and 5xx: trying again may help
_GONE, _REFUSED = (404, 410), (401, 403, 407, 451)
_WHERE = "for a store of your own set ZHENTU_FETCH_ALLOW (networks) and ZHENTU_FETCH_PORTS"


@dataclass(frozen=True, slots=True)
class PullLimits:
    """What a GET may do.

    allow: networks exempt from the guard against private addresses.  wait_s, total_s: seconds for one wait, and for a
    whole answer.
    """

    ports: frozenset[int] = frozenset({80, 443})
    allow: tuple[Network, ...] = ()
    wait_s: float = 30.0
    total_s: float = 300.0


class PassingFault(Exception):
    """An error that may pass when tried again."""


class Counted:
    """Bytes as they arrive, at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, bytearray()

    def add(self, chunk: bytes) -> None:
        """Take what there is room for."""
        self._bytes += chunk[: self._most - len(self._bytes)]

    @property
    def full(self) -> bool:
        """Whether nothing more is wanted."""
        return len(self._bytes) >= self._most

    @property
    def taken(self) -> bytes:
        """All of it."""
        return bytes(self._bytes)


class Puller:
    """Pulls bytes from web servers; several threads may share one."""

    def __init__(self, limits: PullLimits) -> None:
        self._limits = limits
        self._pool = httpcore.ConnectionPool(tls_context(), max_connections=64, network_backend=_Guarded(limits.allow))

    def get(self, url: str, most: int) -> bytes:
        """At most the first `most` bytes, requested as a range and counted as they arrive.

        Raises FetchRefused if the address is not allowed, PictureNotFound, SourceUnreadable if the server refuses for
        good, PassingFault, and errors of the connection.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._once(url, most)
            if isinstance(answer, bytes):
                return answer
            url = redirected(url, answer)
        raise FetchError(f"the URL redirects more than {_MOST_REDIRECTS} times; give the final URL")

    def _once(self, url: str, most: int) -> bytes | str:
        """The body, or where it is redirected to."""
        parts = _allowed_url(url, self._limits.ports)
        with self._pool.stream("GET", _target(parts), headers=_headers(parts, most), extensions=self._timeout()) as got:
            answered = {name.lower(): value.decode("latin-1") for name, value in got.headers}
            if got.status in REDIRECTS and (location := answered.get(b"location")):
                return location
            _check_status(url, got.status)
            if got.status == 416:
                return b""  # a range of nothing: the file is empty
            if answered.get(b"content-encoding", "identity").lower() != "identity":
                raise SourceUnreadable(f"{url}: sends a compressed body; pictures must be sent uncompressed")
            counted, late = Counted(most), time.monotonic() + self._limits.total_s
            for chunk in got.iter_stream():
                counted.add(chunk)
                if counted.full:
                    break
                if time.monotonic() > late:
                    raise PassingFault(f"not complete after {self._limits.total_s:g} s")
            return counted.taken

    def _timeout(self) -> dict[str, Any]:
        return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._limits.wait_s)}


def _allowed_url(url: str, ports: Collection[int]) -> Any:
    """Split and check a URL; its path may contain spaces and any script, as in manifests."""
    place = url.find("/", url.find("://") + 3)
    encoded = url if place < 0 else url[:place] + quote(url[place:], safe=SAFE + "#")
    try:
        return checked_url(encoded, ports)
    except FetchRefused as error:
        raise FetchRefused(f"{error}; {_WHERE}") from error


def _target(parts: Any) -> httpcore.URL:
    return httpcore.URL(scheme=parts.scheme, host=network_host(parts), port=port_of(parts), target=target_of(parts))


def _headers(parts: Any, most: int) -> list[tuple[str, str]]:
    host = shown_host(parts)
    return [
        ("Host", host if parts.port is None else f"{host}:{parts.port}"),
        ("Range", f"bytes=0-{most - 1}"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "zhentu"),
    ]


def _check_status(url: str, status: int) -> None:
    if status in (200, 206, 416):
        return
    if status in _GONE:
        raise PictureNotFound(f"{url}: no such picture ({status})")
    if status in _REFUSED:
        raise SourceUnreadable(f"{url}: refused ({status}); allow reading it")
    if status in _PASSING or status >= 500:
        raise PassingFault(f"the server answered {status}")
    raise SourceUnreadable(f"{url}: the server answered {status}; it must give the picture with 200")


class _Guarded(httpcore.NetworkBackend):
    """Connects to checked addresses only: it resolves once, checks every address, and connects to one of them."""

    def __init__(self, allow: tuple[Network, ...]) -> None:
        self._allow, self._inner = allow, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to `host`. Raises FetchRefused, FetchError."""
        addresses = list(_addresses(host, port))
        for address in addresses:
            if not allowed(address, self._allow):
                raise FetchRefused(f"{host} has an address that is not public; {_WHERE}")
        if not addresses:
            raise PassingFault(f"{host}: has no address")
        return self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Never. Raises FetchRefused."""
        raise FetchRefused("zhentu does not fetch from local sockets")


def _addresses(host: str, port: int) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PassingFault(f"{host}: no such name") from error
    yield from dict.fromkeys(str(each[4][0]) for each in found)
