"""Stress the gate with chaos, overload, kill -9 and a database outage. Each ends with a verdict.

    python scripts/chaos_gate.py mixed --requests 10000
    python scripts/chaos_gate.py overload
    python scripts/chaos_gate.py kill
    python scripts/chaos_gate.py postgres

It runs the model in force. The store is SQLite in a temporary folder; `postgres` starts a server of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from loadgen import (
    ROOT,
    drive,
    environment,
    form,
    free_port,
    gate_command,
    pictures,
    read_answer,
    started,
)

from zhentu.record.database import Database, migrate_store
from zhentu.record.schema import records

_GONE = 0  # the client itself broke off the request


class Verdicts:
    """Checks that are printed and decide the exit code."""

    def __init__(self) -> None:
        self._failed = False

    def check(self, what: str, holds: bool, figure: object = "") -> None:
        """Print one check's verdict."""
        self._failed |= not holds
        print(f"{'PASS' if holds else 'FAIL'}  {what}  {figure}", flush=True)

    def end(self) -> None:
        """Exit with 1 if a check failed, else with 0."""
        sys.exit(1 if self._failed else 0)


def get(port: int, path: str) -> tuple[int, bytes]:
    """The status and body of a GET."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return int(error.code), error.read()


def metric(port: int, name: str) -> float:
    """One value of /metrics."""
    for line in get(port, "/metrics")[1].decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    return float("nan")


def rss(process: subprocess.Popen[bytes]) -> int:
    """Resident bytes of a process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def kept(url: str) -> list[str]:
    """The ids of all records in a store."""
    database = Database(url)
    with database.begin() as connection:
        ids = [row.record_id for row in connection.execute(records.select().with_only_columns(records.c.record_id))]
    database.close()
    return ids


def record_id(body: bytes) -> str:
    """The record id in an answer."""
    return str(json.loads(body)["record_id"])


async def mixed_load(port: int, count: int, connections: int, seed: int) -> tuple[Counter[str], list[str], list[bytes]]:
    """Send mixed requests; return outcomes by kind and status, record ids of the answers, and bodies of 5xx errors."""
    from hostile import write_hostile

    chance = random.Random(seed)
    good = pictures(150, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        broken = [each.path.read_bytes() for each in write_hostile(Path(folder))]
    outcomes: Counter[str] = Counter()
    answered: list[str] = []
    unforeseen: list[bytes] = []
    head = "POST /v1/screen HTTP/1.1\r\nHost: 127.0.0.1\r\n"

    def request() -> tuple[str, bytes]:  # noqa: PLR0911 - one return for each kind of request
        kind = chance.choices(
            ["good", "raw", "key", "broken", "huge", "url", "json", "path", "slow", "abort", "leave"],
            [28, 10, 8, 24, 4, 4, 4, 4, 4, 5, 5],
        )[0]
        listing = f"?listing_id=L{chance.randrange(400)}"
        picture = chance.choice(good)
        typed = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n"
        if kind in ("good", "leave"):
            return kind, form(picture, "/v1/screen")
        if kind in ("raw", "slow", "abort"):
            return kind, f"POST /v1/screen{listing} HTTP/1.1\r\nHost: 127.0.0.1\r\n{typed}\r\n".encode() + picture
        if kind == "key":
            index = chance.randrange(len(good))
            return kind, form(good[index], "/v1/screen", headers=f"Idempotency-Key: k{index}\r\n")
        if kind == "broken":
            return kind, form(chance.choice(broken), "/v1/screen")
        if kind == "huge":
            return kind, f"{head}Content-Type: image/jpeg\r\nContent-Length: 900000000\r\n\r\n".encode() + picture
        if kind == "url":
            body = b'{"url": "http://169.254.169.254/latest/meta-data"}'
            return kind, f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        if kind == "json":
            body = bytes(chance.randrange(256) for _ in range(60))
            return kind, f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        return kind, b"GET /v1/records/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % chance.randrange(99)

    todo = iter(range(count))

    async def worker() -> None:
        stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for _ in todo:
            kind, content = request()
            status, body, stream = await _one(port, stream, kind, content, chance)
            outcomes[f"{kind} {status}"] += 1
            if status == 200 and kind != "path":
                answered.append(record_id(body))
            if status >= 500:
                unforeseen.append(body)
        if stream is not None:
            stream[1].close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    return outcomes, answered, unforeseen


async def _one(
    port: int,
    stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None,
    kind: str,
    content: bytes,
    chance: random.Random,
) -> tuple[int, bytes, tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]:
    """Send one request the way its kind does; return status, body, and the connection if it can be reused."""
    if stream is None:
        stream = await asyncio.open_connection("127.0.0.1", port)
    reader, writer = stream
    try:
        if kind == "abort":  # breaks off in the middle of the body
            writer.write(content[: len(content) // 2])
            await writer.drain()
            writer.close()
            return _GONE, b"", None
        if kind == "leave":  # sends everything and does not wait for the answer
            writer.write(content)
            await writer.drain()
            await asyncio.sleep(chance.random() * 0.05)
            writer.close()
            return _GONE, b"", None
        if kind == "slow":
            for start in range(0, len(content), len(content) // 8):
                writer.write(content[start : start + len(content) // 8])
                await writer.drain()
                await asyncio.sleep(0.1)
        else:
            writer.write(content)
        status, body, close = await asyncio.wait_for(read_answer(reader), 60)
        if close or kind == "huge":
            writer.close()
            return status, body, None
        return status, body, stream
    except (OSError, EOFError, asyncio.IncompleteReadError, TimeoutError):
        writer.close()
        return _GONE, b"", None


def mixed(arguments: argparse.Namespace, verdicts: Verdicts) -> None:
    """Chaos: no unnamed 5xx, no lost record, an empty queue, flat memory, and the gate still answers."""
    folder, port = Path(tempfile.mkdtemp(prefix="zhentu-chaos-")), free_port()
    url = f"sqlite:///{folder}/records.db"
    env = environment(folder, store_url=url, gate_rate_per_s=0, gate_deadline_s=30, gate_body_timeout_s=20)
    with started(gate_command(port), port, env, log=folder / "gate.log") as process:
        warm = max(arguments.requests // 5, 200)
        first = asyncio.run(mixed_load(port, warm, arguments.connections, seed=1))
        before = rss(process)
        began = time.perf_counter()
        second = asyncio.run(mixed_load(port, arguments.requests - warm, arguments.connections, seed=2))
        took = time.perf_counter() - began
        time.sleep(2)
        after = rss(process)
        outcomes = first[0] + second[0]
        print(dict(sorted(outcomes.items())))
        print(f"{arguments.requests} requests, {took:.0f} s for the last {arguments.requests - warm}")
        bodies = [*first[2], *second[2]]
        named = [json.loads(each or b"{}").get("code", "") for each in bodies]
        verdicts.check("no 5xx without an error code", all(named), Counter(named))
        verdicts.check("no internal_error", "internal_error" not in named)
        answered = [*first[1], *second[1]]
        stored = kept(url)
        lost = set(answered) - set(stored)
        verdicts.check("no lost record", not lost, f"{len(answered)} answers, {len(stored)} records, {len(lost)} lost")
        verdicts.check("no record twice", len(stored) == len(set(stored)))
        depth = metric(port, "zhentu_queue_depth")
        verdicts.check("the queue is empty again", depth == 0, depth)
        growth = (after - before) / before * 100
        verdicts.check(
            "RSS grows less than 5 % after warm-up",
            growth < 5,
            f"{before / 2**20:.0f} -> {after / 2**20:.0f} MiB, {growth:+.1f} %",
        )
        ok = asyncio.run(drive(port, [form(pictures(1, seed=77)[0], "/v1/screen")], 1))
        verdicts.check("it still answers", ok.count(200) == 1)


def overload(arguments: argparse.Namespace, verdicts: Verdicts) -> None:
    """Three times its capacity: accepted requests meet the deadline, the others are refused within 100 ms."""
    folder, port = Path(tempfile.mkdtemp(prefix="zhentu-overload-")), free_port()
    env = environment(folder, gate_rate_per_s=0, gate_deadline_s=arguments.deadline)
    cores = len(os.sched_getaffinity(0))
    with started(gate_command(port), port, env, log=folder / "gate.log"):
        probe = [form(each, "/v1/screen") for each in pictures(60, seed=3)]
        measured = asyncio.run(drive(port, probe, 2 * cores))
        capacity = measured.count(200) / measured.seconds
        count = int(capacity * arguments.times * arguments.seconds)
        load = [form(each, "/v1/screen") for each in pictures(count, seed=4)]
        livez: list[float] = []
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.1):
                began = time.perf_counter()
                get(port, "/livez")
                livez.append(time.perf_counter() - began)

        watcher = threading.Thread(target=watch)
        watcher.start()
        pace = 1 / (capacity * arguments.times)
        outcomes = asyncio.run(drive(port, load, min(count, 600), pace_s=pace))
        stop.set()
        watcher.join()
        accepted, refused = outcomes.latencies(200), outcomes.latencies(503)
        print(f"capacity {capacity:.1f}/s, offered {count / outcomes.seconds:.1f}/s for {outcomes.seconds:.0f} s")
        others = len(outcomes.answers) - len(accepted) - len(refused)
        print(f"accepted {len(accepted)}, refused {len(refused)}, others {others}")
        codes = Counter(json.loads(body)["code"] for status, _, body in outcomes.answers if status == 503)
        print(f"refusals: {dict(codes)}")
        p99 = float(np.percentile(accepted, 99))
        verdicts.check(
            f"accepted p99 under the deadline of {arguments.deadline} s", p99 < arguments.deadline, f"{p99:.2f} s"
        )
        late = float(np.percentile(refused, 99)) if len(refused) else float("nan")
        verdicts.check(
            "refused p99 within 100 ms", late < 0.1, f"p50 {np.median(refused) * 1e3:.0f} ms, p99 {late * 1e3:.0f} ms"
        )
        alive = float(np.percentile(livez, 99))
        verdicts.check(
            "/livez p99 within 50 ms", alive < 0.05, f"p50 {np.median(livez) * 1e3:.0f} ms, p99 {alive * 1e3:.0f} ms"
        )
        goodput = len(accepted) / outcomes.seconds
        verdicts.check("throughput holds", goodput > 0.7 * capacity, f"{goodput:.1f}/s of {capacity:.1f}/s")


def kill(arguments: argparse.Namespace, verdicts: Verdicts) -> None:
    """Kill -9 under load: every answered request has its record, and none is recorded twice when all are sent again."""
    folder, port = Path(tempfile.mkdtemp(prefix="zhentu-kill-")), free_port()
    url = f"sqlite:///{folder}/records.db"
    env = environment(folder, store_url=url, gate_rate_per_s=0, gate_deadline_s=60)
    requests = [
        form(each, "/v1/screen", headers=f"Idempotency-Key: k{k}\r\n")
        for k, each in enumerate(pictures(arguments.requests, seed=5))
    ]
    answered: dict[int, str] = {}

    def note(index: int, status: int, body: bytes) -> None:
        if status == 200:
            answered[index] = record_id(body)

    with started(gate_command(port), port, env, log=folder / "gate.log") as process:
        threading.Timer(arguments.after, lambda: os.kill(process.pid, signal.SIGKILL)).start()
        asyncio.run(drive(port, requests, 8, on_answer=note))
    before = dict(answered)
    lost = set(before.values()) - set(kept(url))
    verdicts.check("every answered request has its record", not lost, f"{len(before)} answered, {len(lost)} lost")
    verdicts.check("the kill hit while requests were running", 0 < len(before) < len(requests))
    with started(gate_command(port), port, env, log=folder / "gate.log"):
        asyncio.run(drive(port, requests, 8, on_answer=note))
    same = all(answered[index] == record for index, record in before.items())
    verdicts.check("sent again, each gets the same record", same and len(answered) == len(requests))
    stored = kept(url)
    verdicts.check("no record twice", sorted(stored) == sorted(set(answered.values())), f"{len(stored)} records")


def postgres(arguments: argparse.Namespace, verdicts: Verdicts) -> None:
    """Stop and start PostgreSQL under load: no answered decision is lost, and the gate recovers by itself."""
    from postgres import Postgres

    folder, port = Path(tempfile.mkdtemp(prefix="zhentu-postgres-")), free_port()
    server = Postgres(durable=True)
    try:
        url = server.new_database()
        migrate_store(url)
        env = environment(folder, store_url=url, gate_rate_per_s=0, gate_deadline_s=60)
        requests = [form(each, "/v1/screen") for each in pictures(arguments.requests, seed=6)]
        answered: list[tuple[float, int, str]] = []

        def note(index: int, status: int, body: bytes) -> None:
            answered.append((time.monotonic(), status, record_id(body) if status == 200 else ""))

        with started(gate_command(port), port, env, log=folder / "gate.log"):
            moments: list[float] = []

            def outage() -> None:
                moments.append(time.monotonic())
                server.stop()
                time.sleep(arguments.outage)
                moments.append(time.monotonic())
                server.start()

            timer = threading.Timer(arguments.after, outage)
            timer.start()
            asyncio.run(drive(port, requests, 8, on_answer=note))
            timer.join()
            recovered = _until(lambda: get(port, "/readyz")[0] == 200, 30)
            written = _until(lambda: metric(port, "zhentu_spooled") == 0, 30)
        during = sum(moments[0] < at < moments[1] and status == 200 for at, status, _ in answered)
        ids = [each for _, status, each in answered if status == 200]
        lost = set(ids) - set(kept(url))
        statuses = Counter(status for _, status, _ in answered)
        print(f"answers {dict(statuses)}, {during} of them while the database was down")
        verdicts.check("decisions were made during the outage", during > 0, during)
        verdicts.check("it recovers by itself", recovered and written)
        verdicts.check("no answered decision lost", not lost, f"{len(ids)} answered, {len(lost)} lost")
        stored = kept(url)
        verdicts.check("no record twice", len(stored) == len(set(stored)), f"{len(stored)} records")
    finally:
        server.close()


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if condition():
                return True
        time.sleep(0.2)
    return False


def main() -> None:
    """Run one of the four."""
    sys.path.append(str(ROOT / "tests"))  # hostile files and the PostgreSQL server belong to the tests
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_subparsers(required=True)
    for run, requests in ((mixed, 10_000), (overload, 0), (kill, 200), (postgres, 300)):
        each = which.add_parser(run.__name__, help=run.__doc__)
        each.set_defaults(run=run)
        each.add_argument("--requests", type=int, default=requests)
        each.add_argument("--connections", type=int, default=16)
        each.add_argument("--after", type=float, default=4.0, help="seconds of load before the kill or the outage")
        each.add_argument("--outage", type=float, default=6.0, help="seconds that the database is down")
        each.add_argument("--seconds", type=float, default=20.0, help="duration of the overload")
        each.add_argument("--times", type=float, default=3.0, help="offered load as a multiple of capacity")
        each.add_argument("--deadline", type=float, default=10.0)
    arguments, verdicts = parser.parse_args(), Verdicts()
    arguments.run(arguments, verdicts)
    verdicts.end()


if __name__ == "__main__":
    main()
