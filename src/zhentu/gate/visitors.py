"""Who may talk to the gate at all: the hosts it answers for, and which sites' pages.

A browser sends a request to wherever a page says, also to a gate on its user's own machine. Three things tell such a
request from an honest one: its Host names somebody else's domain (DNS rebinding), its Origin is another site's, or
its Sec-Fetch-Site says so. Programs send neither Origin nor Sec-Fetch-Site, and pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from zhentu.errors import HeadTooLarge, Misdirected, UsageError
from zhentu.review.web.desk import own_site

HEAD_BYTES = 32 * 1024
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PER_HEADER = 32  # bytes that a header costs besides its text
_READS = ("GET", "HEAD", "OPTIONS")


class Visitors:
    """Looks at a request's head.

    hosts: names this gate answers for; empty = any.  closed: refuse what pages of other sites send.
    """

    def __init__(self, hosts: Iterable[str], closed: bool) -> None:
        self._hosts = frozenset(each.lower().strip("[]") for each in hosts)
        self._closed = closed

    @classmethod
    def of(cls, allowed_hosts: frozenset[str], host: str, is_open: bool) -> Visitors:
        """Without keys, only this machine's own names and those in the settings count."""
        return cls((*_LOOPBACK, host, *allowed_hosts) if is_open else tuple(allowed_hosts), is_open)

    def check(self, scope: Scope) -> None:
        """Raise HeadTooLarge, UsageError, Misdirected or Forbidden if the request is not for this gate."""
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        size += sum(len(name) + len(value) + _PER_HEADER for name, value in scope["headers"])
        if size > HEAD_BYTES:
            raise HeadTooLarge(f"request line and headers have more than {HEAD_BYTES // 1024} KiB; send less")
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            raise UsageError("the URL holds a NUL character; leave it out")
        headers = Headers(scope=scope)
        if self._hosts:
            host = host_of(headers.get("host", ""))
            if host not in self._hosts or len(headers.getlist("host")) != 1:
                raise Misdirected(f"host {host[:60]!r} is not one that this gate answers to; see gate.allowed_hosts")
        # Any site may link to our pages; they ask for a sign-in themselves.
        navigates = headers.get("sec-fetch-mode") == "navigate" and scope["method"] in _READS
        if self._closed and not navigates:
            own_site(Request(scope))


def host_of(value: str) -> str:
    """The name or address of a Host header, without port and brackets; empty when it is none."""
    try:
        return (urlsplit(f"//{value}").hostname or "").lower()
    except ValueError:
        return ""
