"""What a connection may cost before it has asked for anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from served import listening, until

from zhentu.gate.app import create_app
from zhentu.settings import Settings

LIVE = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def port(settings: Settings) -> Iterator[int]:
    """A gate that has time, so that a machine that stalls is closed on by nobody."""
    chosen = settings.changed({"gate.connections": 16})
    with listening(create_app(chosen), chosen) as port:
        yield port


@pytest.fixture
def hasty(settings: Settings) -> Iterator[int]:
    """A gate that soon closes what does not go on."""
    chosen = settings.changed({"gate.head_timeout_s": 0.5, "gate.body_timeout_s": 0.5})
    with listening(create_app(chosen), chosen) as port:
        yield port


def call(port: int, payload: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), 60)
    with suppress(ConnectionError):  # it closed before it read everything; its answer may still be there to read
        made.sendall(payload)
    return made


def answered(port: int, payload: bytes) -> tuple[socket.socket, bytes]:
    """A connection and its first answer. Where the test was too slow for a hasty gate, it asks again."""
    for _ in range(100):
        held = call(port, payload)
        with suppress(ConnectionError):
            if answer := held.recv(4096):
                return held, answer
        held.close()
    raise AssertionError("never answered")


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
def test_a_connection_that_does_not_ask_is_closed(hasty: int, before: bytes, start: bytes) -> None:
    if before:  # after an answer, too; one that says nothing at all is an idle one and kept alive
        held, answer = answered(hasty, before)
        assert b"200 OK" in answer
        start = start or b"\r"
    else:
        held = call(hasty, b"")
    with suppress(ConnectionError):  # closed already: the test was slow
        held.sendall(start)
    until(lambda: is_closed(held))


def test_a_head_that_never_ends_is_refused_while_it_comes_in(port: int) -> None:
    held = call(port, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 40_000)
    assert b" 431 " in held.recv(4096)


def test_a_whole_head_that_is_too_long_is_refused(port: int) -> None:
    lines = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 900) for n in range(40))
    held = call(port, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + lines + b"\r\n")
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

    until(refused)


def test_idle_connections_make_room_for_new_ones(port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(30)]
    asking = call(port, LIVE)
    assert b"200 OK" in asking.recv(4096)
    for each in idle:
        each.close()


def test_many_requests_at_once_on_one_connection_are_too_many(port: int) -> None:
    held = call(port, LIVE * 2000)
    until(lambda: is_closed(held) or drained(held))


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


def test_a_refused_body_is_not_waited_for_for_ever(hasty: int) -> None:
    held, answer = answered(hasty, b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nabc")
    assert b" 404 " in answer
    until(lambda: is_closed(held))
