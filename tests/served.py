"""A gate for tests: pictures to send, and a detector that can be held up or broken."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn
from conftest import encoded, photo
from fakes import FakeDetector
from fastapi import FastAPI
from fastapi.testclient import TestClient

from zhentu.bootstrap.screener import build_screener
from zhentu.gate.app import create_app
from zhentu.gate.server import server_config
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import Picture, Verdict


def picture(seed: int = 1) -> dict[str, tuple[str, bytes, str]]:
    return {"picture": ("a.jpg", encoded(photo(seed=seed), "JPEG"), "image/jpeg")}


class SlowDetector(FakeDetector):
    """Waits until it may go on; breaks down while told to."""

    def __init__(self, inner: FakeDetector) -> None:
        super().__init__(inner.entry)
        self.go_on, self.broken = threading.Event(), False

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        self.go_on.wait(10)
        if self.broken:
            raise RuntimeError("out of memory")
        return super().detect(picture)


def slow_app(settings: Settings) -> tuple[TestClient, SlowDetector]:
    slow: list[SlowDetector] = []

    def make(chosen: Settings) -> Screener:
        screener = build_screener(chosen)
        if not slow:
            slow.append(SlowDetector(FakeDetector(screener.detector.entry)))
        return replace(screener, detector=slow[0])

    screener = make(settings)
    assert isinstance(screener.detector, SlowDetector)
    return TestClient(create_app(settings, make)), screener.detector


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that happens in the background; fail when it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@contextmanager
def listening(app: FastAPI, settings: Settings | None = None) -> Iterator[int]:
    """A real server on a free port, for what only a socket can show."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    config = server_config(app, settings or Settings(), host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(20)
