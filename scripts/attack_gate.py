"""Attack our own gate, on 127.0.0.1 only: every attack prints what the gate promises and what happened.

    python scripts/attack_gate.py                # every attack, with the model in force
    python scripts/attack_gate.py --short        # a minute, with a tiny model; the test suite runs this
    python scripts/attack_gate.py --only tarpit slow_picture

The script starts a gate with 2 workers and stops it afterwards. It sends a bounded number of requests of bounded size,
limits its own memory, and stops after `--seconds`. Throughout, the memory of the gate and its children is sampled, and
an honest request is checked after every attack.
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

_MOST_MEMORY = 3 * 2**30  # bytes of address space for the attacker itself
_PROMISED_MIB = 1536
_LIVEZ_S, _DEADLINE_S = 0.05, 10.0


@dataclass
class Watch:
    """The gate as an honest client sees it while it is under attack.

    A separate process asks /livez, so that the attacker's own work does not count as the gate's latency.
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
        self._thread.join(120)
        told, _error = self._asker.communicate(timeout=120)  # it ends when its input does
        self.livez = [float(each) for each in told.split()]

    def _memory(self) -> None:
        gate = psutil.Process(self.pid)
        while not self._stop.wait(0.05):
            with contextlib.suppress(psutil.Error):
                family = [gate, *gate.children(recursive=True)]
                self.peak = max(self.peak, sum(each.memory_info().rss for each in family))


def limit_myself(seconds: float) -> None:
    """Stop the script after `seconds`, and cap its memory and its open files."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _MOST_MEMORY if hard == resource.RLIM_INFINITY else min(_MOST_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    soft, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(2048, most_files)), most_files))

    def over(*_: object) -> None:
        raise SystemExit(f"stopped: the attacks took more than {seconds:.0f} s")

    signal.signal(signal.SIGALRM, over)
    signal.alarm(int(seconds))


@contextlib.contextmanager
def bench(folder: Path, short: bool) -> Iterator[Bench]:
    """A running gate, a tarpit, an honest receiver, and API keys for two callers and a reviewer."""
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
        keys["slow"] = KeyStore(database).create("slow", Role.SCREEN, 0.01)[1]
        database.close()
        command = [sys.executable, "-c", "from zhentu.cli import main; main()", "serve", "--port", str(port)]
        log = folder / "gate.log"
        with started(command, port, environment(folder, **settings), log=log) as process:
            yield Bench(port, process.pid, keys, folder, log, short, tarpit, receiver)


_CALLERS = (("honest", Role.SCREEN), ("mallory", Role.SCREEN), ("reviewer", Role.REVIEW))


class Tarpit:
    """A server that accepts connections and never answers."""

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
    """An honest host: it takes webhooks and serves a picture."""

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
    """Run the attacks; return whether every promise held."""
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
    """Run, print the verdict, and exit with 1 if a promise was broken."""
    sys.path.append(str(ROOT / "tests"))  # the tiny model belongs to the tests
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a tiny model and smaller attacks")
    parser.add_argument("--only", nargs="+", default=[], help="run only these attacks")
    parser.add_argument("--seconds", type=float, default=900.0, help="stop after this many seconds, finished or not")
    arguments = parser.parse_args()
    limit_myself(arguments.seconds)
    with tempfile.TemporaryDirectory(prefix="zhentu-attack-") as folder:
        held = run(Path(folder), arguments.only, arguments.short)
    print(json.dumps({"every promise held": held}))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
