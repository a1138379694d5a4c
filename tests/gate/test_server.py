"""What a connection may cost before it has asked for anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from served import listening, until

from zhentu.gate.app import create_app
from zhentu.settings import Settings

LIVE = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def port(settings: Settings) -> Iterator[int]:
    chosen = settings.changed({"gate.connections": 16, "gate.head_timeout_s": 0.5, "gate.body_timeout_s": 1.0})
    with listening(create_app(chosen), chosen) as port:
        yield port


def call(port: int, payload: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), 5)
    made.sendall(payload)
    return made


def is_closed(each: socket.socket) -> bool:
    each.setblocking(False)
    try:
        return each.recv(65536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\r\n",
        b"GET / HTTP/1.1\r\nX: ",
    ],
)
@pytest.mark.parametrize("before", [b"", LIVE])
def test_a_connection_that_does_not_ask_is_closed(port: int, before: bytes, start: bytes) -> None:
    held = call(port, before)
    if before:  # after an answer, too; one that says nothing at all is an idle one and kept alive
        held.settimeout(5)
        assert b"200 OK" in held.recv(4096)
        start = start or b"\r"
    held.sendall(start)
    until(lambda: is_closed(held), 5)


def test_a_head_that_never_ends_is_refused_while_it_comes_in(port: int) -> None:
    held = call(port, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 40_000)
    held.settimeout(5)
    assert b" 431 " in held.recv(4096)


def test_a_whole_head_that_is_too_long_is_refused(port: int) -> None:
    lines = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 900) for n in range(40))
    held = call(port, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + lines + b"\r\n")
    held.settimeout(5)
    assert b" 431 " in held.recv(4096)


def test_trailers_and_chunk_extensions_are_bounded(port: int) -> None:
    head = b"POST /v1/screen HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
    held = call(port, head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: ")

    def refused() -> bool:
        try:
            held.sendall(b"a" * 8192)
        except OSError:  # it is closed under us
            return True
        return False

    until(refused, 5)


def test_idle_connections_make_room_for_new_ones(port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(30)]
    asking = call(port, LIVE)
    asking.settimeout(5)
    assert b"200 OK" in asking.recv(4096)
    for each in idle:
        each.close()


def test_many_requests_at_once_on_one_connection_are_too_many(port: int) -> None:
    held = call(port, LIVE * 2000)
    until(lambda: is_closed(held) or drained(held), 10)


def drained(each: socket.socket) -> bool:
    each.setblocking(False)
    try:
        while each.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def test_a_refused_body_is_not_waited_for_for_ever(port: int) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc"
    held = call(port, head)
    held.settimeout(5)
    assert b" 404 " in held.recv(4096)
    until(lambda: is_closed(held), 5)
