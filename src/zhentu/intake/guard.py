"""The guard of outbound calls: which URLs may be called, which addresses, and how redirects are followed.

Pure rules that `fetch` (the gate, asyncio) and `pull` (scans, threads) share; both resolve a name once, check every
address it has and connect to a checked one, so that a name cannot point elsewhere between check and use.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urljoin, urlsplit

from zhentu.errors import FetchRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SAFE = "%/:=&?~+!$,;'@()*[]"  # characters that a path and query may contain as they are; the rest is percent-encoded
REDIRECTS = (301, 302, 303, 307, 308)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SITE_LOCAL = ipaddress.ip_network("fec0::/10")
_ISATAP = (0x00005EFE, 0x02005EFE)  # the upper half of an interface identifier whose lower half is an IPv4 address
_COMPATIBLE = ipaddress.ip_network("::/96")


def allowed(address: str, exceptions: Iterable[Network] = ()) -> bool:
    """Whether an address is public: no loopback, private, link-local, multicast or reserved one, in whatever disguise.

    Addresses that carry an IPv4 one inside (mapped, compatible, 6to4, NAT64, Teredo, ISATAP) are judged by it as well.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    shown: Address = getattr(parsed, "ipv4_mapped", None) or parsed
    if any(shown in network for network in exceptions if network.version == shown.version):
        return True
    return all(_public(each) for each in (shown, *_inside(shown)) if each is not None)


def _inside(address: Address) -> tuple[Address | None, ...]:
    if not isinstance(address, ipaddress.IPv6Address):
        return ()
    embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    isatap = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    carries = isatap or address in _NAT64 or (address in _COMPATIBLE and int(address) > 1)
    teredo = address.teredo[1] if address.teredo else None
    return (address.sixtofour, teredo, embedded if carries else None)


def _public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        return True  # the address inside is judged
    if isinstance(address, ipaddress.IPv6Address) and address in _SITE_LOCAL:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
        and not address.is_loopback
        and not address.is_link_local
    )


def checked_url(url: str, ports: Collection[int]) -> Any:
    """Split and check a URL. Raises FetchRefused."""
    try:
        parts = urlsplit(url)
        port = port_of(parts)
    except ValueError as error:
        raise FetchRefused(f"not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchRefused("only http and https URLs with a host are fetched")
    if parts.username is not None or parts.password is not None:
        raise FetchRefused("a URL with a user name in it is not fetched")
    if port not in ports:
        raise FetchRefused(f"port {port} is not among those allowed ({', '.join(map(str, sorted(ports)))})")
    if any(ord(character) <= 32 for character in url):
        raise FetchRefused("the URL holds spaces or control characters; encode them")
    try:
        parts.hostname.encode("idna")
    except UnicodeError as error:
        raise FetchRefused("the URL's host is not a valid name") from error
    return parts


def redirected(url: str, location: str) -> str:
    """Where a redirect leads. Raises FetchRefused if it must not be followed."""
    try:
        target = urljoin(url, location)
        downgraded = urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https"
    except ValueError as error:
        raise FetchRefused(f"the URL redirects to something that is not a URL: {error}") from error
    if downgraded:
        raise FetchRefused("the URL redirects from https to http; give the final URL")
    return target


def host_and_port(url: str, ports: Collection[int]) -> str:
    """Where a URL leads, as "host:port". Raises FetchRefused if zhentu may not go there."""
    parts = checked_url(url, ports)
    return f"{parts.hostname}:{port_of(parts)}"


def port_of(parts: Any) -> int:
    """The port that a split URL names, or that of its scheme."""
    return int(parts.port or (443 if parts.scheme == "https" else 80))


def network_host(parts: Any) -> str:
    """The host of a split URL as the network knows it: international names in IDNA."""
    host = str(parts.hostname)
    return host if host.isascii() else host.encode("idna").decode()


def shown_host(parts: Any) -> str:
    """The host of a split URL as headers name it: IPv6 addresses in brackets."""
    host = network_host(parts)
    return f"[{host}]" if ":" in host else host


def target_of(parts: Any) -> str:
    """Path and query of a split URL."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """The TLS context that verifies servers; made once."""
    return ssl.create_default_context()
