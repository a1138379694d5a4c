"""What an attack works with: the gate, callers' keys, a tarpit, an honest host, raw sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from loadgen import pictures

MIB = 1024 * 1024
Attack = Callable[["Bench"], Awaitable[str]]


@dataclass
class Bench:
    """A running gate, and what an attacker has at hand: callers' keys, a tarpit, an honest host."""

    port: int
    pid: int
    keys: dict[str, str]
    folder: Path
    log: Path
    short: bool
    tarpit: Any
    receiver: Any

    @property
    def patience(self) -> float:
        """By what the promised times are multiplied: test suites run the short version, on machines that stall."""
        return 10.0 if self.short else 1.0

    @property
    def url(self) -> str:
        """The gate's address."""
        return f"http://127.0.0.1:{self.port}"

    def headers(self, who: str) -> dict[str, str]:
        """Headers with a caller's key."""
        return {"Authorization": f"Bearer {self.keys[who]}"}

    def client(self, who: str = "", timeout: float = 120.0) -> httpx.AsyncClient:
        """A client with the key of `who`, or without a key."""
        return httpx.AsyncClient(base_url=self.url, headers=self.headers(who) if who else {}, timeout=timeout)

    def warm(self) -> None:
        """Screen a picture, so that everything is loaded."""
        self.check_honest()

    def check_honest(self) -> None:
        """Check that an honest request is answered within its deadline."""
        began = time.perf_counter()
        picture = pictures(1, 200, seed=time.monotonic_ns() % 2**31)[0]
        for _ in range(20):
            answer = httpx.post(
                f"{self.url}/v1/screen",
                files={"picture": picture},
                headers=self.headers("honest"),
                timeout=15 * self.patience,
            )
            if answer.status_code != 503:
                break
            time.sleep(0.5)
        took = time.perf_counter() - began
        assert answer.status_code == 200, f"honest request: {answer.status_code} {answer.text[:200]}"
        assert took < 12 * self.patience, f"honest request took {took:.1f} s"


async def send_raw(port: int, payload: bytes, seconds: float = 5.0) -> bytes:
    """Send bytes; return what comes back until the gate closes the connection or time runs out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        async with asyncio.timeout(seconds):
            try:
                writer.write(payload)
                await writer.drain()
            except ConnectionError:
                pass  # it closed before reading everything; its answer may still be there to read
            while chunk := await reader.read(65536):
                answer += chunk
    except (TimeoutError, ConnectionError):
        pass  # whatever has arrived is the answer
    finally:
        writer.close()
    return answer


def status(answer: bytes) -> int:
    """The status of a raw answer, 0 if there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


def closed(each: socket.socket) -> bool:
    """Whether the other side has closed a connection."""
    each.setblocking(False)
    try:
        return each.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
