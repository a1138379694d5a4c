"""The attacks of `attack_gate.py`: each docstring begins with what is promised, each return says what came of it.

An attack raises AssertionError where the promise does not hold. They go to 127.0.0.1 alone.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from loadgen import pictures
from PIL import Image

MIB = 1024 * 1024
Attack = Callable[["Bench"], Awaitable[str]]


@dataclass
class Bench:
    """A running gate, and what an attacker has besides: two keys, a tarpit, an honest host."""

    port: int
    pid: int
    keys: dict[str, str]
    folder: Path
    log: Path
    short: bool
    tarpit: Any
    receiver: Any

    @property
    def url(self) -> str:
        """Where the gate is."""
        return f"http://127.0.0.1:{self.port}"

    def headers(self, who: str) -> dict[str, str]:
        """The key of a caller."""
        return {"Authorization": f"Bearer {self.keys[who]}"}

    def client(self, who: str = "", timeout: float = 60.0) -> httpx.AsyncClient:
        """A client with the key of `who`, or none."""
        return httpx.AsyncClient(base_url=self.url, headers=self.headers(who) if who else {}, timeout=timeout)

    def warm(self) -> None:
        """Screen a picture, so that everything is loaded."""
        self.check_honest()

    def check_honest(self) -> None:
        """An honest request is answered within its deadline."""
        began = time.perf_counter()
        picture = pictures(1, 200, seed=time.monotonic_ns() % 2**31)[0]
        for _ in range(20):
            answer = httpx.post(
                f"{self.url}/v1/screen", files={"picture": picture}, headers=self.headers("honest"), timeout=15
            )
            if answer.status_code != 503:
                break
            time.sleep(0.5)
        took = time.perf_counter() - began
        assert answer.status_code == 200, f"honest request: {answer.status_code} {answer.text[:200]}"
        assert took < 12, f"honest request took {took:.1f} s"


async def send_raw(port: int, payload: bytes, seconds: float = 5.0) -> bytes:
    """What comes back for some bytes, until the gate closes or the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        async with asyncio.timeout(seconds):
            try:
                writer.write(payload)
                await writer.drain()
            except ConnectionError:
                pass  # it closed before it had read everything; what it said first may still be there
            while chunk := await reader.read(65536):
                answer += chunk
    except (TimeoutError, ConnectionError):
        pass  # what came until then is what there is
    finally:
        writer.close()
    return answer


def status(answer: bytes) -> int:
    """The status of a raw answer, 0 when there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


async def body_without_a_key(bench: Bench) -> str:
    """A body without a key is not read: 401 at once, no memory."""
    size = (4 if bench.short else 59) * MIB
    gate_before = rss(bench.pid)
    began = time.perf_counter()
    head = f"POST /v1/screen HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    answer = await send_raw(bench.port, head.encode() + b'{"' + b"a" * MIB)
    grown = (rss(bench.pid) - gate_before) / MIB
    assert status(answer) == 401, answer[:80]
    assert grown < 64, f"{grown:.0f} MiB more"
    return f"401 after {time.perf_counter() - began:.2f} s, {grown:.0f} MiB more"


async def endless_headers(bench: Bench) -> str:
    """A head of more than 32 KiB is refused while it comes in."""
    gate_before, lines = rss(bench.pid), b"".join(b"x-%d: %s\r\n" % (n, b"a" * 1000) for n in range(2000))
    one = b"GET /livez HTTP/1.1\r\nHost: a\r\nx: " + b"a" * (2 * MIB)
    answers = await asyncio.gather(
        send_raw(bench.port, b"GET /livez HTTP/1.1\r\nHost: a\r\n" + lines), send_raw(bench.port, one)
    )
    grown = (rss(bench.pid) - gate_before) / MIB
    assert all(status(each) in (0, 400, 431) for each in answers), answers
    assert grown < 64, f"{grown:.0f} MiB more"
    return f"answers {[status(each) for each in answers]}, {grown:.0f} MiB more"


async def half_open_connections(bench: Bench) -> str:
    """Connections that ask nothing are closed after head_timeout_s, and keep nobody out."""
    count = 200 if bench.short else 800
    held = [socket.create_connection(("127.0.0.1", bench.port), 5) for _ in range(count)]
    try:
        for each in held[::2]:
            each.sendall(b"POST /v1/screen HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        async with bench.client("honest") as client:
            answer = await client.get("/v1/records/none")
        assert answer.status_code == 404, "an honest caller is served beside them"
        await asyncio.sleep(4)
        alive = sum(not closed(each) for each in held)
    finally:
        for each in held:
            each.close()
    assert alive == 0, f"{alive} of {count} are still there"
    return f"{count} connections, none left after 4 s"


def closed(each: socket.socket) -> bool:
    """Whether the other side has closed a connection."""
    each.setblocking(False)
    try:
        return each.recv(4096) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


async def unknown_json_keys(bench: Bench) -> str:
    """A body of unknown JSON keys is refused at once, whatever its size."""
    body = b"{" + b",".join(b'"k%d":1' % n for n in range(90_000)) + b"}"
    big = b"{" + b",".join(b'"key%d":1' % n for n in range(2_000_000 if not bench.short else 200_000)) + b"}"
    began = time.perf_counter()
    async with bench.client("mallory") as client:
        kind = {"Content-Type": "application/json"}
        one = await client.post("/v1/screen", content=body, headers=kind)
        other = await client.post("/v1/screen", content=big, headers=kind)
        bank = await client.put("/v1/banks/x", content=body, headers=kind | bench.headers("reviewer"))
    took = time.perf_counter() - began
    assert (one.status_code, other.status_code, bank.status_code) == (400, 413, 403), (one, other, bank)
    assert took < 8, f"{took:.1f} s"
    return f"400, 413 and 403 within {took:.2f} s"


async def uploads_that_drip(bench: Bench) -> str:
    """One caller's slow uploads hold half of the room at most, and others are served."""
    size, kind = 25 * MIB, "image/jpeg"
    head = f"POST /v1/screen HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bench.keys['mallory']}\r\n"
    head += f"Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", bench.port), 5) for _ in range(12)]
    try:
        for each in held:
            each.sendall(head.encode() + b"\xff\xd8\xff" * 1000)
        await asyncio.sleep(0.5)
        refused = 0
        for each in held:
            each.setblocking(False)
            try:
                refused += status(each.recv(4096)) == 503
            except BlockingIOError:
                continue
        bench.check_honest()
    finally:
        for each in held:
            each.close()
    assert refused >= 7, f"{refused} of 12 were refused"
    return f"{refused} of 12 refused with 503, the honest caller served"


def progressive_bomb(scans: int) -> bytes:
    """A JPEG of very many passes over a large frame, each a few bytes long."""
    stream = io.BytesIO()
    Image.new("L", (2000, 2000), 128).save(stream, "JPEG", progressive=True)
    plain = stream.getvalue()
    first = plain.index(b"\xff\xda")
    head = plain[:first]
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x05\x00" + b"\x00" * 80
    return head + plain[first:-2] + scan * scans + b"\xff\xd9"


async def slow_picture(bench: Bench) -> str:
    """A picture that takes too long is refused as the picture's own fault, never allowed, and holds nobody up."""
    payload = progressive_bomb(6000)
    began = time.perf_counter()
    async with bench.client("mallory") as client:
        answers = await asyncio.gather(
            *(client.post("/v1/screen", files={"picture": ("a.jpg", payload + bytes([n]))}) for n in range(3))
        )
    took = time.perf_counter() - began
    for each in answers:
        body = each.json()
        assert each.status_code in (413, 422), (each.status_code, each.text[:200])
        assert body["code"].startswith("picture_"), body
    assert took < 20, f"{took:.1f} s"  # the deadline of 10 s, and what a busy machine adds
    return f"{answers[0].json()['code']} after {took:.1f} s, {len(payload) / 1e3:.0f} kB each"


def bombs() -> dict[str, bytes]:
    """Small files that are large pictures."""
    side = 7000

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    grey16 = zlib.compress(bytes((side * 2 + 1) * side), 9)
    header = struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", grey16) + chunk(b"IEND", b"")
    stream = io.BytesIO()
    Image.new("F", (side, side)).save(stream, "TIFF", compression="tiff_deflate")
    webp = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f" + struct.pack("<I", 16382 | 3050 << 14) + b"\x00" * 8
    return {"16-bit PNG": png, "float TIFF": stream.getvalue(), "WebP": webp}


async def decompression_bombs(bench: Bench) -> str:
    """Small files that are large pictures share one budget of memory."""
    answers: dict[str, int] = {}
    async with bench.client("mallory", 120) as client:
        for name, payload in bombs().items():
            sent = [client.post("/v1/screen", files={"picture": ("a", payload + bytes(n))}) for n in range(2)]
            answers |= {name: max(each.status_code for each in await asyncio.gather(*sent))}
    return ", ".join(f"{name}: {code}" for name, code in answers.items())


async def appeals_with_many_photos(bench: Bench) -> str:
    """Photos of appeals are decoded in the workers' threads, and not more pixels than one picture may have."""
    stream = io.BytesIO()
    Image.new("RGB", (6500, 6500), (9, 9, 9)).save(stream, "JPEG")
    photos = [("references", (f"{n}.jpg", stream.getvalue())) for n in range(6)]
    async with bench.client("mallory", 120) as client:
        made = (await client.post("/v1/screen", files={"picture": pictures(1, 200, 77)[0]})).json()
        form = {"record_id": made["record_id"], "reason": "it is real"}
        answers = await asyncio.gather(*(client.post("/v1/appeals", data=form, files=photos) for _ in range(3)))
    assert {each.status_code for each in answers} <= {413, 503}, [each.text[:100] for each in answers]
    return f"{[each.status_code for each in answers]}"


async def tarpit_fetches(bench: Bench) -> str:
    """One caller's URLs of a host that never answers delay nobody else's."""
    bad = {"url": f"http://127.0.0.1:{bench.tarpit.port}/a.jpg"}
    good = {"url": f"http://127.0.0.1:{bench.receiver.port}/a.jpg"}
    async with bench.client("mallory") as client, bench.client("honest") as honest:
        waiting = [asyncio.create_task(client.post("/v1/screen", json=bad)) for _ in range(48)]
        await asyncio.sleep(0.3)
        for _ in range(10):  # a busy machine may say 503, and then it is asked again
            began = time.perf_counter()
            answer = await honest.post("/v1/screen", json=good)
            took = time.perf_counter() - began
            if answer.status_code != 503:
                break
            await asyncio.sleep(0.3)
        ends = [each.status_code for each in await asyncio.gather(*waiting)]
    assert answer.status_code == 200, answer.text[:200]
    assert took < 5, f"{took:.1f} s"
    assert set(ends) <= {422, 503, 429}, set(ends)
    return f"the honest fetch took {took:.2f} s"


async def tarpit_webhooks(bench: Bench) -> str:
    """Callbacks to a host that never answers delay nobody else's."""
    small = pictures(1, 200, 5)[0]
    async with bench.client("mallory") as client, bench.client("honest") as honest:
        for _ in range(12):
            tarpit = {"callback_url": f"http://127.0.0.1:{bench.tarpit.port}/hook"}
            answer = await client.post("/v1/jobs", files={"picture": ("a.jpg", small)}, data=tarpit)
            assert answer.status_code == 202, answer.text[:200]
        bench.receiver.got.clear()
        began = time.monotonic()
        mine = {"callback_url": f"http://127.0.0.1:{bench.receiver.port}/hook"}
        await honest.post("/v1/jobs", files={"picture": ("a.jpg", small)}, data=mine)
        while not bench.receiver.got and time.monotonic() - began < 20:
            await asyncio.sleep(0.05)
    assert bench.receiver.got, "the honest webhook did not come within 20 s"
    took = bench.receiver.got[0][0] - began
    assert took < 15, f"{took:.1f} s"
    return f"the honest webhook came after {took:.2f} s"


async def wrong_keys(bench: Bench) -> str:
    """Wrong keys are throttled, and right ones from the same address still open."""
    async with bench.client() as client:
        answers = [
            (await client.get("/v1/records/x", headers={"X-API-Key": f"zt_{n:012x}_{'a' * 43}"})).status_code
            for n in range(60)
        ]
        right = await client.get("/v1/records/x", headers=bench.headers("reviewer"))
    assert answers.count(429) >= 30, answers
    assert right.status_code == 404, right.text
    return f"{answers.count(401)} times 401, {answers.count(429)} times 429; a right key is answered"


async def batch_larger_than_the_bucket(bench: Bench) -> str:
    """A batch passes at any rate, once the bucket is full, and is paid off afterwards."""
    files = [("picture", (f"{n}.jpg", payload)) for n, payload in enumerate(pictures(3, 200, 8))]
    async with bench.client("slow") as client:
        first = await client.post("/v1/screen/batch", files=files)
        second = await client.post("/v1/screen/batch", files=files)
    assert (first.status_code, second.status_code) == (200, 429), (first.text[:200], second.status_code)
    return "200, and 429 for the next one"


async def spoofed_proxy(bench: Bench) -> str:
    """Headers say nothing about where a request comes from: a proxy's sign-in cannot be spoofed."""
    lies = {"X-Forwarded-For": "203.0.113.5", "Forwarded": "for=203.0.113.5", "X-Real-IP": "203.0.113.5"}
    async with bench.client() as client:
        answer = await client.get("/review", headers=lies | {"X-Signed-In": "anna"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/review/sign-in"), answer.text[:100]
    return "asked to sign in"


async def keys_and_controls_in_the_log(bench: Bench) -> str:
    """Neither keys in a path nor escape sequences reach the log."""
    token = bench.keys["honest"]
    async with bench.client() as client:
        await client.get(f"/v1/records/{token}")
        await client.get("/v1/records/%1b%5d0;owned%07%c2%9b31m%0d%0aforged")
    await asyncio.sleep(0.3)
    written = bench.log.read_bytes()
    assert token.split("_", 2)[2].encode() not in written, "the key stands in the log"
    assert not any(each in written for each in (b"\x1b", b"\x07", "\x9b".encode(), b"\nforged")), "controls in the log"
    return "neither stands there"


async def nul_in_text(bench: Bench) -> str:
    """NUL is refused in every text with 400."""
    async with bench.client("reviewer") as client:
        picture = {"picture": ("a.jpg", pictures(1, 200, 9)[0])}
        made = (await client.post("/v1/screen", files=picture)).json()
        answers = [
            await client.post("/v1/screen", files=picture, data={"title": "a\0b"}),
            await client.post("/v1/appeals", data={"record_id": made["record_id"], "reason": "a\0b"}),
            await client.post("/v1/banks/bad/entries", files=picture, data={"note": "a\0b"}),
            await client.get("/v1/records/a%00b"),
        ]
    assert all(each.status_code in (400, 404) for each in answers), [each.status_code for each in answers]
    return f"{[each.status_code for each in answers]}"


async def private_files(bench: Bench) -> str:
    """Store, kept pictures and spool are readable by the gate's own user alone."""
    names = [bench.folder / "records.db", *(bench.folder / "pictures").rglob("*"), *(bench.folder / "spool").rglob("*")]
    open_ones = [str(each) for each in names if each.stat().st_mode & 0o077]
    assert len(names) > 2, "nothing to look at"
    assert not open_ones, open_ones[:3]
    return f"{len(names)} files and folders"


async def foreign_scripts(bench: Bench) -> str:
    """The API documents load nothing from elsewhere."""
    async with bench.client() as client:
        answer = await client.get("/docs")
    assert answer.status_code == 200, answer.status_code
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    return f"{len(answer.text) / 1e3:.0f} kB without a script"


async def audit_of_keys(bench: Bench) -> str:
    """Making a key leaves an entry in the audit."""
    from zhentu.record.audit import entries
    from zhentu.record.database import Database

    database = Database(f"sqlite:///{bench.folder}/records.db")
    acts = [each.act for each in entries(database)]
    database.close()
    assert acts.count("key.create") >= len(bench.keys), acts
    return f"{acts.count('key.create')} entries"


async def browsers_and_open_mode(bench: Bench) -> str:
    """Open mode serves this machine's own names alone, no other site's page, and the review page by its token."""
    from loadgen import environment, free_port, started

    folder, port = bench.folder / "open", free_port()
    folder.mkdir(exist_ok=True)
    log, models = folder / "gate.log", bench.folder / "models"
    chosen: dict[str, object] = {"models_dir": models} if bench.short else {}
    command = [sys.executable, "-c", "from zhentu.cli import main; main()", "serve", "--open", "--on-error", "block"]
    with started([*command, "--port", str(port)], port, environment(folder, **chosen), log=log):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            evil = await client.get("/v1/in-force", headers={"Host": "evil.example"})
            form = {"picture": ("a.jpg", pictures(1, 200, 3)[0])}
            cross = [
                await client.post("/v1/banks/good/entries", files=form, headers=headers)
                for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"})
            ]
            page = await client.get("/review")
            guessed = await client.post("/review/undo", headers={"X-CSRF-Token": "open"})
            token = log.read_text(encoding="utf-8").partition("?token=")[2].split()[0]
            signed_in = await client.get(f"/review/sign-in?token={token}")
            honest = await client.post("/v1/screen", files=form)
    assert evil.status_code == 421, evil.status_code
    assert [each.status_code for each in cross] == [403] * 3, [each.status_code for each in cross]
    assert (page.status_code, page.headers["location"]) == (303, "/review/sign-in")
    assert guessed.status_code in (401, 403), guessed.status_code
    assert signed_in.headers["location"] == "/review"
    assert honest.status_code == 200, honest.text[:100]
    return "421 for another host, 403 for other sites, the token opens"


async def formulas_and_markup(bench: Bench) -> str:
    """Names of strangers run in no spreadsheet and format no terminal."""
    folder = bench.folder / "shop"
    folder.mkdir(exist_ok=True)
    names = (folder / "x[" / "red].jpg", folder / "\x1b[31mowned.jpg")
    for seed, name in enumerate(names):
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(pictures(1, 200, seed + 4)[0])
    env = os.environ | {"XDG_DATA_HOME": str(bench.folder / "cli")}
    env |= {"ZHENTU_MODELS_DIR": str(bench.folder / "models")} if bench.short else {}
    for path in names:
        command = [sys.executable, "-c", "from zhentu.cli import main; main()", "inspect", str(path), "--heatmap"]
        made = await asyncio.to_thread(
            subprocess.run, [*command, str(folder / "h.png")], env=env, capture_output=True, check=False
        )
        assert made.returncode == 0, made.stderr[-300:]
        assert b"\x1b[31mowned" not in made.stdout
        assert b"[/red]" in made.stdout or b"owned" in made.stdout
    return "inspect shows both names as they are"


async def password_in_an_error(bench: Bench) -> str:
    """A malformed store_url does not print its password."""
    env = os.environ | {"ZHENTU_STORE_URL": "postgresql+psycopg//zhentu:hunter2@postgres/zhentu"}
    command = [sys.executable, "-c", "from zhentu.cli import main; main()", "keys", "list"]
    made = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, check=False)
    assert made.returncode == 3, made
    assert b"hunter2" not in made.stdout + made.stderr
    return json.dumps(made.stderr.decode().strip()[:100])


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


ATTACKS: tuple[Attack, ...] = (
    body_without_a_key,
    endless_headers,
    half_open_connections,
    unknown_json_keys,
    uploads_that_drip,
    slow_picture,
    decompression_bombs,
    appeals_with_many_photos,
    tarpit_fetches,
    tarpit_webhooks,
    wrong_keys,
    batch_larger_than_the_bucket,
    spoofed_proxy,
    keys_and_controls_in_the_log,
    nul_in_text,
    private_files,
    foreign_scripts,
    audit_of_keys,
    browsers_and_open_mode,
    formulas_and_markup,
    password_in_an_error,
)
