"""Ask a gate's /livez ten times a second until standard input ends, and print how many seconds each answer took.

It is a separate program and needs only the standard library: it starts at once, and the attack does not slow it down.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time


def main(port: int) -> None:
    """Ask until told to stop; no answer within 10 s counts as 10 s."""
    took: list[float] = []
    gate: socket.socket | None = None
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        began = time.perf_counter()
        answered = False
        with contextlib.suppress(OSError):
            gate = gate or socket.create_connection(("127.0.0.1", port), 10)
            gate.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answered = gate.recv(65536).startswith(b"HTTP/1.1 200")
        took.append(time.perf_counter() - began)
        if not answered and gate is not None:
            gate.close()
            gate = None
    print(*took)


if __name__ == "__main__":
    main(int(sys.argv[1]))
