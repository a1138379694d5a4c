"""A gate for tests: pictures to send, and a detector that can be held up or broken."""

from __future__ import annotations

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
from zhentu.gate.server import bound_sockets, server_config
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
        assert self.go_on.wait(120), "nobody let it go on"
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


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that happens in the background; fail when it does not, long after a busy machine would."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@contextmanager
def listening(app: FastAPI, settings: Settings | None = None) -> Iterator[int]:
    """A real server on a free port, for what only a socket can show."""
    patient = settings or Settings().changed({"gate.head_timeout_s": 120.0, "gate.body_timeout_s": 120.0})
    (bound,) = bound_sockets("127.0.0.1", 0)  # held from the first moment, so that nobody else is given its port
    server = uvicorn.Server(server_config(app, patient, log_level="error"))
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    assert server.started
    try:
        yield int(bound.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(120)
