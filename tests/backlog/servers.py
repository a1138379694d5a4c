"""Sources on loopback: an object store that speaks S3, and a web server that fails as told."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class ShakyServer:
    """Serves `files` by path. fail: how often each path answers 503 first; gone_wrong: paths that always answer 500."""

    files: dict[str, bytes]
    fail: dict[str, int] = field(default_factory=dict)
    gone_wrong: set[str] = field(default_factory=set)
    requests: Counter[str] = field(default_factory=Counter)
    url: str = ""

    def answer(self, path: str) -> tuple[int, bytes]:
        self.requests[path] += 1
        if path in self.gone_wrong:
            return 500, b"broken"
        if self.requests[path] <= self.fail.get(path, 0):
            return 503, b"slow down"
        return (200, self.files[path]) if path in self.files else (404, b"no such picture")


@contextmanager
def serving(server: ShakyServer) -> Iterator[ShakyServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = server.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            http.shutdown()


@contextmanager
def object_store(monkeypatch: pytest.MonkeyPatch, bucket: str, files: dict[str, bytes]) -> Iterator[str]:
    """An S3 endpoint holding `files`; processes started meanwhile find it by their environment."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        for name, value in (
            ("FSSPEC_S3_ENDPOINT_URL", endpoint),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            monkeypatch.setenv(name, value)
        _reread_settings(endpoint)
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket=bucket)
        for key, body in files.items():
            client.put_object(Bucket=bucket, Key=key, Body=body)
        yield endpoint
    finally:
        server.stop()
        _reread_settings("")


def _reread_settings(endpoint: str) -> None:
    """Fsspec reads its environment when imported, which has happened in this process."""
    import fsspec
    import s3fs

    fsspec.config.conf.setdefault("s3", {}).pop("endpoint_url", None)
    if endpoint:
        fsspec.config.conf["s3"]["endpoint_url"] = endpoint
    s3fs.S3FileSystem.clear_instance_cache()
    assert os.environ.get("FSSPEC_S3_ENDPOINT_URL", "") in ("", endpoint) or not endpoint
