"""Attacks on a gate of one's own, on 127.0.0.1 alone: each prints what is promised, and what came of it.

    python scripts/attack_gate.py                # everything, with the model in force
    python scripts/attack_gate.py --short        # a minute, with a tiny model; the test suite runs this
    python scripts/attack_gate.py --only tarpit slow_picture

The script starts the gate itself, with 2 workers, and stops it. What it sends is bounded in number and size, it limits
its own memory, and it ends by itself after `--seconds`. The gate's memory (its children's too) is sampled all the
while, and honest requests go on beside every attack.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from attacks import ATTACKS
from attacks.bench import Bench
from loadgen import ROOT, environment, free_port, started

from zhentu.record.database import Database
from zhentu.record.keys import KeyStore
from zhentu.types import Role

_MOST_MEMORY = 3 * 2**30  # bytes of address space that the attacker itself may use
_PROMISED_MIB = 1536
_LIVEZ_S, _DEADLINE_S = 0.05, 10.0


@dataclass
class Watch:
    """The gate as somebody honest sees it, sampled while it is attacked.

    /livez is asked by a process of its own: the attacker's own work must not be counted as the gate's.
    """

    pid: int
    port: int
    peak: int = 0
    livez: list[float] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self._asker = subprocess.Popen(
            [sys.executable, ROOT / "scripts" / "attacks" / "livez.py", str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._thread = threading.Thread(target=self._memory, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(15)
        told, _error = self._asker.communicate(timeout=15)  # its input ends, and so does it
        self.livez = [float(each) for each in told.split()]

    def _memory(self) -> None:
        gate = psutil.Process(self.pid)
        while not self._stop.wait(0.05):
            with contextlib.suppress(psutil.Error):
                family = [gate, *gate.children(recursive=True)]
                self.peak = max(self.peak, sum(each.memory_info().rss for each in family))


def limit_myself(seconds: float) -> None:
    """Nothing of this script outlives `seconds`, and it takes no more memory than it needs."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _MOST_MEMORY if hard == resource.RLIM_INFINITY else min(_MOST_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    soft, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(2048, most_files)), most_files))

    def over(*_: object) -> None:
        raise SystemExit(f"the attack took more than {seconds:.0f} s; it was stopped")

    signal.signal(signal.SIGALRM, over)
    signal.alarm(int(seconds))


@contextlib.contextmanager
def bench(folder: Path, short: bool) -> Iterator[Bench]:
    """A gate with keys, a tarpit, an honest receiver, and the keys of two callers and a reviewer."""
    from fakes import tiny_model

    url, port = f"sqlite:///{folder}/records.db", free_port()
    settings: dict[str, object] = {
        "store_url": url,
        "workers": 2,
        "gate_deadline_s": _DEADLINE_S,
        "gate_rate_per_s": 0,
        "gate_head_timeout_s": 2,
        "gate_on_error": "allow_and_queue",
        "webhook_secret": "whsec_" + "a2tr" * 10,
        "fetch_allow": "127.0.0.0/8",
        "fetch_timeout_s": 3,
        "store_pictures": folder / "pictures",
        "store_spool_dir": folder / "spool",
        "review_proxy_header": "X-Signed-In",
        "review_proxy_networks": "203.0.113.0/24",
        "log_level": "info",
    }
    if short:
        tiny_model(folder / "models")
        settings["models_dir"] = folder / "models"
    with Tarpit() as tarpit, Receiver() as receiver:
        settings["fetch_ports"] = f"80,443,{tarpit.port},{receiver.port}"
        database = Database(url, auto_migrate=True)
        keys = {name: KeyStore(database).create(name, role)[1] for name, role in _CALLERS}
        keys["slow"] = KeyStore(database).create("slow", Role.SCREEN, 0.2)[1]
        database.close()
        command = [sys.executable, "-c", "from zhentu.cli import main; main()", "serve", "--port", str(port)]
        log = folder / "gate.log"
        with started(command, port, environment(folder, **settings), log=log) as process:
            yield Bench(port, process.pid, keys, folder, log, short, tarpit, receiver)


_CALLERS = (("honest", Role.SCREEN), ("mallory", Role.SCREEN), ("reviewer", Role.REVIEW))


class Tarpit:
    """Takes connections and never answers."""

    def __enter__(self) -> Tarpit:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._socket.getsockname()[1])
        self._held: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        for each in self._held:
            each.close()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while len(self._held) < 2000:
                self._held.append(self._socket.accept()[0])


class Receiver:
    """An honest host: takes webhooks, gives a picture."""

    def __enter__(self) -> Receiver:
        import http.server

        got = self.got = []
        picture = self.picture = (ROOT / "src" / "zhentu" / "samples").glob("*.jpg").__next__().read_bytes()

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers at once."""

            def do_POST(self) -> None:
                """A webhook."""
                got.append((time.monotonic(), self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def do_GET(self) -> None:
                """A picture."""
                self.send_response(200)
                self.send_header("content-length", str(len(picture)))
                self.end_headers()
                self.wfile.write(picture)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


def run(folder: Path, only: Sequence[str], short: bool) -> bool:
    """Every attack; whether all promises held."""
    held = True
    with bench(folder, short) as target:
        target.warm()
        for attack in ATTACKS:
            if only and attack.__name__ not in only:
                continue
            with Watch(target.pid, target.port) as watch:
                began = time.perf_counter()
                try:
                    outcome = asyncio.run(attack(target))
                    target.check_honest()
                except (AssertionError, httpx.HTTPError, OSError) as error:
                    held, outcome = False, f"BROKEN: {type(error).__name__}: {error}"
                took = time.perf_counter() - began
            p99 = sorted(watch.livez)[int(len(watch.livez) * 0.99) - 1] if len(watch.livez) > 1 else 0.0
            mib = watch.peak / 2**20
            ok = not outcome.startswith("BROKEN") and mib <= _PROMISED_MIB
            held &= ok
            promise = (attack.__doc__ or "").strip().split("\n")[0]
            print(f"{'PASS' if ok else 'FAIL'}  {attack.__name__}: {promise}", flush=True)
            print(f"      {outcome}; peak {mib:.0f} MiB, /livez p99 {p99 * 1e3:.0f} ms, {took:.1f} s", flush=True)
    return held


def main() -> None:
    """Run and say whether every promise held."""
    sys.path.append(str(ROOT / "tests"))  # the tiny model is the tests' own
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a tiny model and smaller attacks")
    parser.add_argument("--only", nargs="+", default=[], help="names of attacks")
    parser.add_argument("--seconds", type=float, default=900.0, help="after so long it stops, whatever is left")
    arguments = parser.parse_args()
    limit_myself(arguments.seconds)
    with tempfile.TemporaryDirectory(prefix="zhentu-attack-") as folder:
        held = run(Path(folder), arguments.only, arguments.short)
    print(json.dumps({"every promise held": held}))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
