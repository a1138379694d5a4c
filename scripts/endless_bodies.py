"""Measure the memory of a scan whose source, a web server on loopback, sends endless bodies of three kinds.

    python scripts/endless_bodies.py --count 60 --models models

Every other picture is an honest one and must be scored. The rest are an endless chunked body, an endless body without a
length, and 200 MiB in answer to a range request. The exit status is 1 if memory (shared pages counted once) exceeds
the bound or a row is missing.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scanning import environment, scan_command, tiny_models, variations, watch

_BOUND_MB = 1536
_PIECE = b"\xff\xd8\xff\xe0" + bytes(2**18 - 4)  # begins as a JPEG does
_LARGE = 200 * 2**20


def handler(honest: bytes, sent: Counter[str]) -> type[BaseHTTPRequestHandler]:
    """A handler that picks its answer by the first word of the path, and counts the bytes it has sent."""

    class Endless(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind = self.path.strip("/").partition("-")[0]
            with suppress(ConnectionError):
                getattr(self, kind)()
            self.close_connection = True

        def honest(self) -> None:
            self._head(("Content-Length", str(len(honest))))
            self.wfile.write(honest)

        def chunked(self) -> None:
            self._head(("Transfer-Encoding", "chunked"))
            while True:
                self._send("chunked", b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE))

        def nameless(self) -> None:
            self._head(("Connection", "close"))
            while True:
                self._send("nameless", _PIECE)

        def large(self) -> None:
            self._head(("Content-Length", str(_LARGE)))
            for _ in range(_LARGE // len(_PIECE)):
                self._send("large", _PIECE)

        def _head(self, header: tuple[str, str]) -> None:
            self.send_response(200)  # whatever range was asked for
            self.send_header("Content-Type", "image/jpeg")
            self.send_header(*header)
            self.end_headers()

        def _send(self, kind: str, piece: bytes) -> None:
            self.wfile.write(piece)
            sent[kind] += len(piece)

        def log_message(self, *_: object) -> None:
            return

    return Endless


def main() -> None:
    """Scan, watch the memory of the whole process tree, and check the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--models", type=Path, help="models folder; default: a tiny test model")
    arguments = parser.parse_args()
    kinds = ("honest", "chunked", "honest", "nameless", "honest", "large")
    paths = [f"/{kinds[number % len(kinds)]}-{number:04d}.jpg" for number in range(arguments.count)]
    (honest,), sent = variations(1), Counter[str]()
    with (
        tempfile.TemporaryDirectory() as temporary,
        ThreadingHTTPServer(("127.0.0.1", 0), handler(honest, sent)) as server,
    ):
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place, origin = Path(temporary), f"http://127.0.0.1:{server.server_port}"
        manifest = place / "manifest.csv"
        manifest.write_text("url\n" + "".join(f"{origin}{path}\n" for path in paths), encoding="utf-8")
        own = {"ZHENTU_FETCH_ALLOW": "127.0.0.0/8", "ZHENTU_FETCH_PORTS": str(server.server_port)}
        models = arguments.models or tiny_models(place / "models")
        command = scan_command(str(manifest), "-o", str(place / "rows.csv"), "--workers", str(arguments.workers))
        seen = watch(command, environment(place, models) | own)
        server.shutdown()
        with (place / "rows.csv").open(encoding="utf-8-sig", newline="") as stream:
            rows = {row["path"].removeprefix(origin): row["error"] for row in csv.DictReader(stream)}
    errors = Counter(error for error in rows.values() if error)
    good = {path for path in paths if path.startswith("/honest")}
    said = {"pictures": len(paths), "seconds": round(seen.seconds, 1), "errors": errors}
    said |= {"summed_mb": round(seen.tree_mb), "shared_once_mb": round(seen.shared_once_mb)}
    print(json.dumps(said | {"sent_mb": {kind: count >> 20 for kind, count in sent.items()}}))
    scored = {path for path, error in rows.items() if not error}
    fine = set(rows) == set(paths) and scored == good and seen.shared_once_mb <= _BOUND_MB
    print(f"every row, and under {_BOUND_MB} MiB" if fine else f"missed: {sorted(set(paths) - set(rows))[:5]}")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
