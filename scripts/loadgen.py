"""A light load generator: raw HTTP/1.1 over asyncio, so that the client leaves the processor to the server."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Outcomes:
    """Answers as (status, seconds, body), in the order they arrived. status: 0 if there was no answer."""

    answers: list[tuple[int, float, bytes]] = field(default_factory=list)
    seconds: float = 0.0

    def latencies(self, status: int = 200) -> np.ndarray:
        """Seconds of the requests answered with this status."""
        return np.array([took for code, took, _ in self.answers if code == status])

    def count(self, status: int) -> int:
        """How many requests were answered with this status."""
        return sum(code == status for code, _, _ in self.answers)


def pictures(count: int, side: int = 800, seed: int = 1) -> list[bytes]:
    """Distinct JPEGs of side x side pixels: the sample pictures, resized, flipped and with sensor noise."""
    rng = np.random.default_rng(seed)
    samples = sorted((ROOT / "src" / "zhentu" / "samples").glob("*.jpg"))
    made = []
    for k in range(count):
        with Image.open(samples[k % len(samples)]) as image:
            grown = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        pixels = np.asarray(grown, np.float32)
        if k // len(samples) % 2:
            pixels = pixels[:, ::-1]
        pixels = pixels + rng.standard_normal((side, side, 1), np.float32) * 3
        stream = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=85)
        made.append(stream.getvalue())
    return made


def real_pictures(folder: Path, count: int, side: int = 800, seed: int = 1) -> list[bytes]:
    """`count` pictures of a folder and below, drawn by `seed`, in JPEG, the longer side `side` pixels.

    Each seed has a quality of its own, so that the same picture has other bytes the next time. Raises SystemExit if
    there are too few.
    """
    kinds = {".jpg", ".jpeg", ".png", ".webp"}
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in kinds)
    if len(files) < count:
        sys.exit(f"{folder}: has {len(files)} pictures (.jpg, .png, .webp); {count} are wanted, see --count")
    made = []
    for place in np.random.default_rng(seed).permutation(len(files))[:count]:
        with Image.open(files[place]) as image:
            fitted = ImageOps.contain(image.convert("RGB"), (side, side), Image.Resampling.BICUBIC)
        stream = io.BytesIO()
        fitted.save(stream, "JPEG", quality=80 + seed % 16)
        made.append(stream.getvalue())
    return made


def form(payload: bytes, path: str, field_name: str = "picture", headers: str = "") -> bytes:
    """A complete multipart request."""
    boundary = b"zhentu-load"
    head = f'Content-Disposition: form-data; name="{field_name}"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = b"--" + boundary + b"\r\n" + head.encode() + payload + b"\r\n--" + boundary + b"--\r\n"
    kind = f"multipart/form-data; boundary={boundary.decode()}"
    lines = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
    return f"{lines}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def drive(
    port: int,
    requests: Sequence[bytes],
    connections: int,
    pace_s: float = 0.0,
    on_answer: Callable[[int, int, bytes], None] | None = None,
    timeout_s: float = 60.0,
) -> Outcomes:
    """Send every request once over keep-alive connections. pace_s > 0: open loop, a new request every `pace_s`."""
    outcomes, todo = Outcomes(), iter(enumerate(requests))
    began = time.perf_counter()

    async def worker() -> None:
        stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for index, request in todo:
            if pace_s:
                await asyncio.sleep(max(began + index * pace_s - time.perf_counter(), 0))
            start = time.perf_counter()
            try:
                if stream is None:
                    stream = await asyncio.open_connection("127.0.0.1", port)
                stream[1].write(request)
                status, body, close = await asyncio.wait_for(read_answer(stream[0]), timeout_s)
            except (OSError, EOFError, asyncio.IncompleteReadError, TimeoutError):
                status, body, close = 0, b"", True
            outcomes.answers.append((status, time.perf_counter() - start, body))
            if on_answer:
                on_answer(index, status, body)
            if close and stream is not None:
                stream[1].close()
                stream = None
        if stream is not None:
            stream[1].close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    outcomes.seconds = time.perf_counter() - began
    return outcomes


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """The status, the body, and whether the server closes the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
    body = await reader.readexactly(int(length or 0))
    return status, body, b"connection: close" in head


_HELD: list[socket.socket] = []


def free_port() -> int:
    """A port for a server that is started next.

    On Linux it stays bound here as long as this process lives, so that nobody else is given it before the server, or
    while that is restarted; servers set SO_REUSEADDR, and may listen on it all the same.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = int(held.getsockname()[1])
    if sys.platform == "linux":
        _HELD.append(held)
    else:
        held.close()
    return port


def wait_until_up(port: int, process: subprocess.Popen[bytes], path: str = "/readyz", seconds: float = 300.0) -> None:
    """Wait until a server answers; exit if it died.

    seconds: starting takes some 6 s of one core, so this allows for a machine that is 30 times overloaded.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"the server on port {port} died with {process.returncode}")
        try:
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                probe.settimeout(5)
                probe.sendall(request)
                if b" 200 " in probe.recv(64):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"the server on port {port} did not come up")


def gate_command(port: int) -> list[str]:
    """The command that starts the gate, as users type it."""
    code = "from zhentu.cli import main; main()"
    return [sys.executable, "-c", code, "serve", "--open", "--on-error", "block", "--port", str(port)]


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """The environment of a gate that keeps its files in `folder`. settings: by path, with "_" for "."."""
    named = {f"ZHENTU_{name.upper()}": str(value) for name, value in settings.items()}
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT / 'training'}"
    return os.environ | {"PYTHONPATH": path, "XDG_DATA_HOME": str(folder), "ZHENTU_LOG_LEVEL": "warning"} | named


@contextmanager
def started(
    command: Sequence[str],
    port: int,
    env: dict[str, str],
    path: str = "/readyz",
    log: Path | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A running server process, stopped afterwards."""
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True, cwd=cwd)
        try:
            wait_until_up(port, process, path)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with suppress(ProcessLookupError):  # LitServe leaves its workers behind, half a gigabyte each
                os.killpg(process.pid, signal.SIGKILL)
