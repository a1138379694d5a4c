"""A gate for tests: pictures to send, and a detector that can be held up or broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from conftest import encoded, photo
from fakes import FakeDetector
from fastapi.testclient import TestClient

from zhentu.bootstrap import Screener, build_screener
from zhentu.gate.app import create_app
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
