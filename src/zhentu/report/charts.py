"""Shapes of the page's charts, in the units of their SVG view boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zhentu.decide.words import Words

WIDTH, HEIGHT = 200.0, 60.0  # of a histogram's view box


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin: left, top, width and height in view box units; the scores it covers; whether they call for an action."""

    x: float
    y: float
    width: float
    height: float
    low: float
    high: float
    count: int
    over: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """The scores of one output. limit: the lowest threshold that calls for an action, None if there is none."""

    name: Words
    bars: tuple[Bar, ...]
    limit: float | None
    over: int

    @property
    def limit_x(self) -> float:
        """Where the limit stands in view box units."""
        return WIDTH * (self.limit or 0.0)


def histogram(name: Words, bins: Sequence[int], limit: float | None, over: int) -> Histogram:
    """Bars of equal bins from 0 to 1. Heights follow the square root of the count, so that rare high scores show.

    limit: a bin is drawn as over it if most of the bin is; over: how many pictures are, counted exactly elsewhere.
    """
    tallest = max(max(bins, default=0), 1) ** 0.5
    width = WIDTH / max(len(bins), 1)
    bars = []
    for index, count in enumerate(bins):
        low, high = index / len(bins), (index + 1) / len(bins)
        height = max(HEIGHT * 0.96 * count**0.5 / tallest, 1.5 if count else 0.0)
        over_limit = limit is not None and (low + high) / 2 >= limit
        bars.append(Bar(index * width + 0.7, HEIGHT - height, width - 1.4, height, low, high, count, over_limit))
    return Histogram(name, tuple(bars), limit, over)
