from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from conftest import encoded, photo

from zhentu.errors import FetchError, FetchRefused
from zhentu.intake.fetch import FetchLimits, Outbound
from zhentu.intake.guard import allowed

HOST = "127.0.0.2"  # loopback too, but another one than 127.0.0.1: excepting it must not open the rest
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
PICTURE = encoded(photo(), "PNG")
_PATIENT_S = 60.0  # a stalled machine is slow, not wrong; only tests of the limit itself set a short one


def page(body: bytes, status: str = "200 OK", **headers: str) -> Answer:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body)}",
        *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()),
    ]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    return answer


async def slow_loris(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: b\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + PICTURE[:64])
    while True:
        writer.write(b"\x00" * 65536)
        await writer.drain()


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            await answer(writer)
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(handle, HOST, 0)
    yield server.sockets[0].getsockname()[1], seen
    server.close()


def limits(port: int, **changes: object) -> FetchLimits:
    defaults = {"ports": (80, 443, port), "allow": (ipaddress.ip_network(f"{HOST}/32"),), "timeout_s": _PATIENT_S}
    return FetchLimits(**(defaults | changes))


def get(answer: Answer, url: str = "http://{host}:{port}/a.png", **changes: object) -> bytes:
    async def run() -> bytes:
        async with served(answer) as (port, _):
            return await Outbound(limits(port, **changes)).get_picture(url.format(host=HOST, port=port))

    return asyncio.run(run())


def test_a_picture_is_fetched() -> None:
    assert get(page(PICTURE)) == PICTURE


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:7f00:1]/",
        "http://[::1]/",
        "http://[fe80::1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://0/",
        "http://localhost/",
        "http://10.0.0.1/",
        "http://100.64.0.1/",
        "http://192.168.1.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "http://example.com:22/",
        "http://user:secret@example.com/",
        "http://exa mple.com/",
        "http:///a.png",
        f"http://{'a' * 70}.example/",
        "http://名字.127.0.0.1.\udcff/",
        "http://[::1",
        "",
    ],
)
def test_a_url_that_leads_inside_is_refused(url: str) -> None:
    with pytest.raises(FetchRefused):
        asyncio.run(Outbound().get_picture(url))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert allowed(address)


def test_one_bad_address_among_good_ones_is_enough() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.5"]

    with pytest.raises(FetchRefused):
        asyncio.run(Outbound(resolve=resolve).get_picture("http://two-faced.example/"))


def test_a_name_is_resolved_once_and_the_checked_address_is_used() -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return [HOST] if len(asked) == 1 else ["127.0.0.1"]

    async def run() -> bytes:
        async with served(page(PICTURE)) as (port, seen):
            got = await Outbound(limits(port), rebinding).get_picture(f"http://rebind.example:{port}/x")
            assert b"Host: rebind.example" in seen[0]
            return got

    assert asyncio.run(run()) == PICTURE
    assert asked == ["rebind.example"]


def test_a_redirect_to_loopback_is_refused() -> None:
    with pytest.raises(FetchRefused, match="not public"):
        get(page(b"", "302 Found", Location="http://127.0.0.1/admin"))


def test_redirects_are_followed_and_counted() -> None:
    with pytest.raises(FetchError, match="redirects more than"):
        get(page(b"", "302 Found", Location="/again"))


def test_a_server_that_drips_is_given_up() -> None:
    with pytest.raises(FetchError, match=r"did not answer within 0\.2 s"):
        get(slow_loris, timeout_s=0.2)  # it drips for ever: without the limit this would never end


def test_a_body_without_end_is_cut_off() -> None:
    with pytest.raises(FetchError, match="MiB"):
        get(endless, max_bytes=1_000_000)


@pytest.mark.parametrize(
    "answer",
    [
        page(b"<html>login</html>", Content_Type="image/png"),
        page(b"", "404 Not Found"),
        page(PICTURE, Content_Encoding="gzip"),
        page(b"x"),
    ],
)
def test_what_is_no_picture_is_an_error(answer: Answer) -> None:
    with pytest.raises(FetchError) as caught:
        get(answer)
    assert not isinstance(caught.value, FetchRefused)


def test_an_announced_length_beyond_the_limit_is_not_read() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        await asyncio.Event().wait()  # the body never comes: who waited for it would run into the limit of time

    with pytest.raises(FetchError, match="MiB"):
        get(answer)


def test_a_dead_server_is_an_error() -> None:
    with pytest.raises(FetchError, match="connection failed"):
        asyncio.run(Outbound(limits(1)).get_picture(f"http://{HOST}:1/"))


def test_a_post_carries_its_body_and_follows_nothing() -> None:
    async def run() -> int:
        async with served(page(b"", "302 Found", Location="http://127.0.0.1/")) as (port, seen):
            status = await Outbound(limits(port)).post(f"http://{HOST}:{port}/hook", b"{}", {"webhook-id": "m"})
            assert b"POST /hook" in seen[0]
            assert b"webhook-id: m" in seen[0]
            return status

    assert asyncio.run(run()) == 302
