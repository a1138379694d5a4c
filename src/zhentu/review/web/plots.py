"""Plots as numbers for SVG, drawn by the server: no script, no library in the page."""

from __future__ import annotations

from dataclasses import dataclass

from zhentu.review.learning import Statistics

WIDTH, HEIGHT = 720.0, 160.0
ROW = 34.0


@dataclass(frozen=True, slots=True)
class Column:
    """One day: two stacked rectangles, in SVG units."""

    day: str
    x: float
    width: float
    kept: int
    overturned: int
    kept_height: float
    overturned_height: float


@dataclass(frozen=True, slots=True)
class DailyPlot:
    """Thirty days. most: the highest column, for the axis."""

    columns: tuple[Column, ...]
    most: int


@dataclass(frozen=True, slots=True)
class Interval:
    """One model version: a point and its interval, in SVG units."""

    model: str
    y: float
    point: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class PrecisionPlot:
    """All model versions. height: of the whole plot."""

    intervals: tuple[Interval, ...]
    height: float


def daily_plot(found: Statistics) -> DailyPlot:
    """Decisions by day: upheld and overturned."""
    most = max((kept + overturned for _, kept, overturned in found.daily), default=0)
    step, scale = WIDTH / max(len(found.daily), 1), HEIGHT / max(most, 1)
    columns = tuple(
        Column(day, place * step + 2, step - 4, kept, overturned, kept * scale, overturned * scale)
        for place, (day, kept, overturned) in enumerate(found.daily)
    )
    return DailyPlot(columns, most)


def precision_plot(found: Statistics) -> PrecisionPlot:
    """Precision of each model version with its interval, 0 at the left and 1 at the right."""
    intervals = tuple(
        Interval(
            each.model,
            place * ROW + ROW / 2,
            each.precision * WIDTH,
            each.low * WIDTH,
            each.high * WIDTH,
            f"{each.precision:.0%} ({each.low:.0%}–{each.high:.0%}), {each.upheld}/{each.decided}",
        )
        for place, each in enumerate(found.models)
    )
    return PrecisionPlot(intervals, max(len(intervals), 1) * ROW)
