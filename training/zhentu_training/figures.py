"""Figures of scored pictures: scores and truth in, numbers out. Weights let every source count equally."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 20  # pictures of a source that is judged alone
_DRAWS = 300  # bootstrap resamples


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Pictures scored by heads that never saw their source. score (n,), made (n,) bool, source (n,) of str."""

    score: np.ndarray
    made: np.ndarray
    source: np.ndarray

    def only(self, use: np.ndarray) -> Judged:
        """Some of them."""
        return Judged(self.score[use], self.made[use], self.source[use])


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval; `nan` bounds where it cannot be told."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def auc(score: np.ndarray, made: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Area under the ROC curve, ties counted half; nan where one class is missing."""
    weight = np.ones(len(score)) if weight is None else weight
    levels, at = np.unique(score, return_inverse=True)
    forged = np.bincount(at, weight * made, len(levels))
    genuine = np.bincount(at, weight * ~made, len(levels))
    total = forged.sum() * genuine.sum()
    return float((forged * (np.cumsum(genuine) - genuine / 2)).sum() / total) if total else float("nan")


def quantile(score: np.ndarray, weight: np.ndarray, share: float) -> float:
    """The smallest score that at least `share` of the weight does not exceed."""
    order = np.argsort(score)
    sums = np.cumsum(weight[order])
    return float(score[order][min(np.searchsorted(sums, share * sums[-1] - 1e-12), len(score) - 1)])


def alike(source: np.ndarray) -> np.ndarray:
    """Weights (n,) that give every source the same sum; they add up to 1."""
    _, at, counts = np.unique(source, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / counts[at] / len(counts))


def recall(judged: Judged, false_alarms: float, weight: np.ndarray | None = None) -> float:
    """Share of the forged over the score that `false_alarms` of the genuine exceed, sources of the genuine alike.

    weight: how often a row counts, for the bootstrap.
    """
    weight = np.ones(len(judged.score)) if weight is None else weight
    genuine = ~judged.made & (weight > 0)
    if not genuine.any() or not (weight * judged.made).any():
        return float("nan")
    even = alike(judged.source[genuine]) * weight[genuine]
    limit = quantile(judged.score[genuine], even, 1 - false_alarms)
    return float((weight * judged.made * (judged.score > limit)).sum() / (weight * judged.made).sum())


def balanced_accuracy(judged: Judged) -> float:
    """Mean of both classes' shares on the right side of one half."""
    said = judged.score >= 0.5
    return float((said[judged.made].mean() + (~said)[~judged.made].mean()) / 2)


def calibration_error(judged: Judged, prior: float = 0.5, bins: int = 10) -> float:
    """Expected calibration error at a prior, equal-width bins (Guo et al. 2017), sources weighted alike."""
    weight = np.zeros(len(judged.score))
    for side, share in ((True, prior), (False, 1 - prior)):
        inside = judged.made == side
        if inside.any():
            weight[inside] = alike(judged.source[inside]) * share
    which = np.minimum((judged.score * bins).astype(int), bins - 1)
    gaps = np.abs(np.bincount(which, weight * (judged.score - judged.made), bins))
    return float(gaps.sum() / weight.sum())


def by_source(judged: Judged) -> tuple[dict[str, float], dict[str, float]]:
    """Of sources of 20 pictures or more: AUC of each forged one against all genuine; false alarms of each genuine one.

    False alarms: share over the score that 1 % of the genuine, sources alike, exceed.
    """
    genuine = ~judged.made
    limit = quantile(judged.score[genuine], alike(judged.source[genuine]), 0.99)
    forged_auc, alarms = {}, {}
    for source in np.unique(judged.source):
        own = judged.source == source
        if (own & judged.made).sum() >= LEAST:
            use = genuine | (own & judged.made)
            forged_auc[str(source)] = auc(judged.score[use], judged.made[use])
        if (own & genuine).sum() >= LEAST:
            alarms[str(source)] = float((judged.score[own & genuine] > limit).mean())
    return forged_auc, alarms


def resampled(judged: Judged, seed: int = 7) -> list[np.ndarray]:
    """Bootstrap over sources, of each class by itself: how often each row counts, one array a draw."""
    rng = np.random.default_rng(seed)
    sides = [np.flatnonzero(judged.made == side) for side in (True, False)]
    parts = [(inside, *np.unique(judged.source[inside], return_inverse=True)) for inside in sides]
    drawn = []
    for _ in range(_DRAWS):
        weight = np.zeros(len(judged.score))
        for inside, sources, at in parts:
            times = np.bincount(rng.integers(0, max(len(sources), 1), len(sources)), minlength=len(sources))
            weight[inside] = times[at]
        drawn.append(weight)
    return drawn


def interval(value: float, drawn: Sequence[float] | np.ndarray) -> Interval:
    """A figure and what the bootstrap says of it."""
    told = np.isfinite(np.asarray(drawn, float)).any()
    low, high = np.nanquantile(drawn, [0.025, 0.975]) if told else (float("nan"),) * 2
    return Interval(value, float(low), float(high))
