"""Attacks by size, number and time: requests that are too many, too slow, or larger than they look."""

from __future__ import annotations

import asyncio
import io
import socket
import struct
import time
import zlib
from contextlib import suppress

from loadgen import pictures
from PIL import Image

from attacks.bench import MIB, Bench, closed, rss, send_raw, status


async def body_without_a_key(bench: Bench) -> str:
    """Without a key the body is not read: 401 at once, and no memory is spent."""
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
    """A request head of more than 32 KiB is refused while it arrives."""
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
    """Connections that send no request are closed after head_timeout_s, and keep nobody out."""
    count = 200 if bench.short else 800
    held = [socket.create_connection(("127.0.0.1", bench.port), 60) for _ in range(count)]
    try:
        for each in held[::2]:
            with suppress(ConnectionError):  # it is closed already
                each.sendall(b"POST /v1/screen HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        async with bench.client("honest") as client:
            answer = await client.get("/v1/records/none")
        assert answer.status_code == 404, "an honest caller is served beside them"
        began, alive = time.perf_counter(), list(held)
        while alive and time.perf_counter() - began < 4 * bench.patience:
            await asyncio.sleep(0.1)
            alive = [each for each in alive if not closed(each)]
    finally:
        for each in held:
            each.close()
    assert not alive, f"{len(alive)} of {count} are still there"
    return f"{count} connections, none left after {time.perf_counter() - began:.1f} s"


async def unknown_json_keys(bench: Bench) -> str:
    """A JSON body with unknown keys is refused at once, whatever its size."""
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
    assert took < 8 * bench.patience, f"{took:.1f} s"
    return f"400, 413 and 403 within {took:.2f} s"


async def uploads_that_drip(bench: Bench) -> str:
    """One caller's slow uploads take at most half of the room, and others are served."""
    size, kind = 25 * MIB, "image/jpeg"
    head = f"POST /v1/screen HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bench.keys['mallory']}\r\n"
    head += f"Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", bench.port), 60) for _ in range(12)]
    try:
        for each in held:
            each.sendall(head.encode() + b"\xff\xd8\xff" * 1000)
        began, refused = time.perf_counter(), 0
        while refused < 7 and time.perf_counter() - began < bench.patience:
            await asyncio.sleep(0.1)
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
    """A large JPEG with very many scans of a few bytes each."""
    stream = io.BytesIO()
    Image.new("L", (2000, 2000), 128).save(stream, "JPEG", progressive=True)
    plain = stream.getvalue()
    first = plain.index(b"\xff\xda")
    head = plain[:first]
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x05\x00" + b"\x00" * 80
    return head + plain[first:-2] + scan * scans + b"\xff\xd9"


async def slow_picture(bench: Bench) -> str:
    """A picture that takes too long is refused as the picture's own fault, is never allowed, and delays nobody."""
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
    assert took < 12 * bench.patience, f"{took:.1f} s"  # the deadline of 10 s, and the sending
    return f"{answers[0].json()['code']} after {took:.1f} s, {len(payload) / 1e3:.0f} kB each"


def bombs() -> dict[str, bytes]:
    """Small files that decode to large pictures."""
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
    """Small files that decode to large pictures share one memory budget."""
    answers: dict[str, int] = {}
    async with bench.client("mallory", 120) as client:
        for name, payload in bombs().items():
            sent = [client.post("/v1/screen", files={"picture": ("a", payload + bytes(n))}) for n in range(2)]
            answers |= {name: max(each.status_code for each in await asyncio.gather(*sent))}
    return ", ".join(f"{name}: {code}" for name, code in answers.items())


async def appeals_with_many_photos(bench: Bench) -> str:
    """Photos of appeals are decoded on worker threads, with no more pixels in total than one picture may have."""
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
    """One caller's URLs at a host that never answers delay nobody else's."""
    bad = {"url": f"http://127.0.0.1:{bench.tarpit.port}/a.jpg"}
    good = {"url": f"http://127.0.0.1:{bench.receiver.port}/a.jpg"}
    ends, beside = [], 0
    async with bench.client("mallory") as client, bench.client("honest") as honest:
        for _ in range(10):  # a busy machine may answer 503, or after the others have been given up; then again
            waiting = [asyncio.create_task(client.post("/v1/screen", json=bad)) for _ in range(48)]
            await asyncio.sleep(0.3)
            began = time.perf_counter()
            answer = await honest.post("/v1/screen", json=good)
            took = time.perf_counter() - began
            beside = sum(not each.done() for each in waiting)
            ends += [each.status_code for each in await asyncio.gather(*waiting)]
            if answer.status_code != 503 and beside:
                break
    assert answer.status_code == 200, answer.text[:200]
    assert beside, f"it was answered after {took:.1f} s, when nobody else waited any more"
    assert took < 5 * bench.patience, f"{took:.1f} s"
    assert set(ends) <= {422, 503, 429}, set(ends)
    return f"the honest fetch took {took:.2f} s, beside {beside} that waited"


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
        while not bench.receiver.got and time.monotonic() - began < 20 * bench.patience:
            await asyncio.sleep(0.05)
    assert bench.receiver.got, "the honest webhook did not come"
    took = bench.receiver.got[0][0] - began
    assert took < 10 * bench.patience, f"{took:.1f} s"
    return f"the honest webhook came after {took:.2f} s"
