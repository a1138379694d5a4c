"""A picture that is alone gets every core; where pictures queue, each gets one, which makes the most of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from zhentu.detect.detector import Detector
from zhentu.detect.models import ModelEntry
from zhentu.screen import DetectorPort, Screener
from zhentu.types import Picture, Verdict

_MOST_THREADS = 8  # of one call; more was not measured


@dataclass(frozen=True, slots=True)
class ByLoad:
    """One model, open twice: its scores are the same bit by bit however many threads make them.

    one_core: for pictures among others.  every_core: for one that is alone.  alone: whether one is.
    """

    one_core: DetectorPort
    every_core: DetectorPort
    alone: Callable[[], bool]

    @property
    def entry(self) -> ModelEntry:
        """The manifest entry."""
        return self.one_core.entry

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """Score one picture."""
        return (self.every_core if self.alone() else self.one_core).detect(picture, with_heatmaps)


def by_load(screener: Screener, cores: int, alone: Callable[[], bool]) -> Screener:
    """The screener with its model opened a second time, for `cores` threads; as it is where there is but one core."""
    detector = screener.detector
    if cores < 2 or not isinstance(detector, Detector):
        return screener
    return replace(screener, detector=ByLoad(detector, detector.with_threads(min(cores, _MOST_THREADS)), alone))
