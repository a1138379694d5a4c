"""A picture that is alone gets every core; where pictures queue, each gets one, which makes the most of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from zhentu.detect.detector import Detector
from zhentu.screen import Screener

_MOST_THREADS = 8  # of one call; more was not measured


def by_load(screener: Screener, cores: int, alone: Callable[[], bool]) -> Screener:
    """The screener with its model open a second time, for `cores` threads; unchanged with one core, or on a GPU.

    Scores are the same bit by bit however many threads make them.  alone: whether one picture is under way.
    """
    one_core = screener.detector
    if cores < 2 or not isinstance(one_core, Detector) or one_core.entry.runtime.on_gpu:
        return screener
    every_core = one_core.with_threads(min(cores, _MOST_THREADS))
    return replace(screener, detector_now=lambda: every_core if alone() else one_core)
