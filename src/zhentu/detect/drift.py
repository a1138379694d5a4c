"""Whether scores are still distributed as when the model was tested: the population stability index.

PSI = sum over bins of (share now - share then) * ln(share now / share then). The usual reading, from credit scoring:
below 0.1 stable, 0.1 to 0.25 look into it, above 0.25 the pictures have changed.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from zhentu.types import OUTPUTS, Output

BINS = 10
LEAST = 200  # scores below which an index is noise
_WINDOW = 5000  # the latest scores that are compared
_FLOOR = 1e-4  # share of an empty bin, so that the logarithm stays finite


def histogram(scores: Sequence[float]) -> tuple[float, ...]:
    """Shares of ten equal bins from 0 to 1."""
    counts = [0] * BINS
    for score in scores:
        counts[min(int(score * BINS), BINS - 1)] += 1
    return tuple(count / max(len(scores), 1) for count in counts)


def references_of(scores: Iterable[Sequence[float]]) -> dict[Output, tuple[float, ...]]:
    """A histogram per output of trusted pictures' scores, rows in the order of `OUTPUTS`, for the manifest."""
    columns = zip(OUTPUTS, zip(*scores, strict=True), strict=True)
    return {output: tuple(round(share, 4) for share in histogram(column)) for output, column in columns}


def stability_index(then: Sequence[float], now: Sequence[float]) -> float:
    """PSI of two histograms of the same bins; they may be counts or shares. Raises ValueError for different lengths."""
    if len(then) != len(now):
        raise ValueError(f"histograms of {len(then)} and {len(now)} bins cannot be compared")
    total_then, total_now = sum(then) or 1.0, sum(now) or 1.0
    index = 0.0
    for before, after in zip(then, now, strict=True):
        share_then = max(before / total_then, _FLOOR)
        share_now = max(after / total_now, _FLOOR)
        index += (share_now - share_then) * math.log(share_now / share_then)
    return index


class ScoreWindow:
    """The latest scores of each output; safe to use from several threads."""

    def __init__(self, size: int = _WINDOW) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._scores: dict[str, deque[float]] = {}

    def add(self, scores: Mapping[str, float]) -> None:
        """Add the scores of one picture."""
        with self._lock:
            for output, score in scores.items():
                self._scores.setdefault(output, deque(maxlen=self._size)).append(score)

    def clear(self) -> None:
        """Forget everything: another model gives other scores."""
        with self._lock:
            self._scores.clear()

    def indices(self, reference: Mapping[Output, Sequence[float]]) -> dict[Output, float]:
        """PSI by output, for outputs that have a reference and enough scores."""
        with self._lock:
            latest = {output: list(scores) for output, scores in self._scores.items()}
        return {
            output: stability_index(then, histogram(latest[output]))
            for output, then in reference.items()
            if len(then) == BINS and len(latest.get(output, ())) >= LEAST
        }
