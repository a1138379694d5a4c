"""From the looks' logits to probabilities and thresholds: few parameters, fitted on held-out scores.

Per output the looks are added (by the config's weights, or by fitted ones that are never negative) and the sum is
read as log-odds by Platt's line (Platt 1999) with both classes weighted alike; another prior moves it by its odds.
Thresholds are quantiles of genuine pictures' scores, sources weighted alike, so that no big source decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from zhentu.detect.calibration import Platt, sigmoid
from zhentu.detect.entries import FirstLook
from zhentu.detect.operating import OperatingPoint, ProfilePoints
from zhentu.types import CATEGORIES, FORGERY_CATEGORIES, Action, Category, Profile, Threshold
from zhentu_training.config import Risk, TrainSpec
from zhentu_training.dataset import Sample
from zhentu_training.figures import alike, quantile

_RIDGE = 1e-4
_SOFTEST = 1e-3  # the smallest slope: more suspicion never lowers a score
_LEAST_SOURCE = 40  # genuine pictures of a source whose own false alarms are held down
_UNTAUGHT = -6.0  # log-odds of an output without training pictures
_LIFTED_FURTHER = 1e-3  # share of genuine pictures whose crops may lift a score further than allowed
# Log-odds of ai_generated. At none 83 % of genuine pictures are settled and the AUC falls by 0.008 (what is settled is
# ranked by one look), at 0.5 / 1 / 1.5 / 2 it is 72 / 60 / 45 / 30 % and 0.0048 / 0.0019 / 0.0007 / 0.0002.
_MARGIN = 1.0
_HIGHEST = 0.999  # a threshold that some score can reach


@dataclass(frozen=True, slots=True, eq=False)
class Fusion:
    """Per output: weights (5, 2) of the whole look's and the crops' logit, and Platt's line over their sum."""

    weights: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray

    def probabilities(self, looks: np.ndarray) -> np.ndarray:
        """Logits of both looks (n, 2, 5) -> calibrated probabilities (n, 5)."""
        odds = self.slopes * (looks.transpose(0, 2, 1) * self.weights).sum(2) + self.intercepts
        return sigmoid(odds)

    def calibration(self) -> dict[str, Platt]:
        """As it enters the manifest."""
        lines = zip(CATEGORIES, self.slopes, self.intercepts, strict=True)
        return {category.value: Platt(float(slope), float(intercept)) for category, slope, intercept in lines}


def fit_fusion(
    looks: np.ndarray, targets: np.ndarray, weights: np.ndarray, share: float | None, priors: np.ndarray
) -> Fusion:
    """Looks (n, 2, 5), targets and weights (n, 5). share: of the crops in the sum, None = fitted.

    priors: of each output (5,). An output without training pictures says no; otherwise it would always be the highest
    of the five.
    """
    found = np.zeros((targets.shape[1], 2))
    slopes, intercepts = np.ones(len(found)), np.zeros(len(found))
    odds = np.log(priors / (1 - priors))
    for k in range(len(found)):
        use = weights[:, k] > 0
        values, w = looks[use, :, k], weights[use, k]
        if not use.any() or len(np.unique(targets[use, k])) < 2:
            found[k], intercepts[k] = (1.0, 0.0) if share == 0 else (0.5, 0.5), _UNTAUGHT
            continue
        scale = np.sqrt(np.maximum(((values - np.average(values, 0, w)) ** 2 * w[:, None]).sum(0) / w.sum(), 1e-12))
        if share is None:
            parts, intercepts[k] = _line(values / scale, targets[use, k], w)
            slopes[k] = parts.sum()
            found[k] = parts / slopes[k] / scale
        else:
            found[k] = np.array([1 - share, share]) / scale
            line, intercepts[k] = _line((values @ found[k])[:, None], targets[use, k], w)
            slopes[k] = line[0]
        intercepts[k] += odds[k]
    return Fusion(found, slopes, intercepts)


def _line(values: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Logistic regression with non-negative weights: values (n, m) -> weights (m,), intercept."""
    even = np.zeros(len(target))
    for side in (0, 1):
        inside = (target > 0) == side
        even[inside] = weight[inside] / weight[inside].sum() / 2
    count = values.shape[1]

    def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
        logits = values @ p[:count] + p[count]
        value = (even * (np.logaddexp(0, logits) - target * logits)).sum() + _RIDGE * (p[:count] ** 2).sum()
        residual = even * (sigmoid(logits) - target)
        return value, np.append(values.T @ residual + 2 * _RIDGE * p[:count], residual.sum())

    first = np.append(np.full(count, 1.0 / count), 0.0)
    limits = [(_SOFTEST, None)] * count + [(None, None)]
    found = minimize(loss, first, jac=True, bounds=limits, method="L-BFGS-B").x
    return found[:count], float(found[count])


def held_out(
    looks: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    fold: np.ndarray,
    share: float | None,
    priors: np.ndarray,
) -> np.ndarray:
    """Probabilities (n, 5) of each picture from a fusion that was fitted without its fold."""
    said = np.zeros((len(looks), targets.shape[1]))
    for each in np.unique(fold):
        inside = fold == each
        rest = ~inside if (~inside).any() else inside  # a single fold cannot be left out
        said[inside] = fit_fusion(looks[rest], targets[rest], weights[rest], share, priors).probabilities(looks[inside])
    return said


def first_look(
    looks: np.ndarray,
    fusion: Fusion,
    genuine: np.ndarray,
    source: np.ndarray,
    profiles: Mapping[Profile, ProfilePoints],
) -> FirstLook:
    """Limits under which the whole look settles a picture: no crop could lift it over any lowest threshold.

    looks: logits out of fold (n, 2, 5).  genuine (n,) bool, source (n,): whose crops say how far crops lift, all but
    one in a thousand.  A settled picture is read as if its crops had said what crops of such pictures say in the mean.
    """
    whole, crops = (looks * fusion.weights.T).transpose(1, 0, 2)
    lift = np.array([quantile(column, alike(source[genuine]), 1 - _LIFTED_FURTHER) for column in crops[genuine].T])
    odds = lowest_odds(profiles)
    margin = np.array([_MARGIN if each is Category.AI_GENERATED else 0.0 for each in CATEGORIES])
    below = (odds - fusion.intercepts - margin) / fusion.slopes - lift
    settled = genuine & (whole < below).all(1)
    usual = crops[settled].mean(0) if settled.any() else np.zeros(len(CATEGORIES))
    lines = {
        category: Platt(float(slope), float(intercept + slope * mean))
        for category, slope, intercept, mean in zip(CATEGORIES, fusion.slopes, fusion.intercepts, usual, strict=True)
    }
    return FirstLook(dict(zip(CATEGORIES, map(float, below), strict=True)), lines)


def lowest_odds(profiles: Mapping[Profile, ProfilePoints]) -> np.ndarray:
    """Log-odds (5,) of each output's lowest threshold of any profile."""
    points = [point for one in profiles.values() for point in one.thresholds]
    lowest = np.array([min(point.value for point in points if point.category == each) for each in CATEGORIES])
    return np.asarray(np.log(lowest / (1 - lowest)))


def settled_by(first: FirstLook, looks: np.ndarray, fusion: Fusion) -> tuple[np.ndarray, np.ndarray]:
    """Which pictures (n,) the whole look settles, and the probabilities (n, 5) it then gives."""
    whole = looks[:, 0] * fusion.weights[:, 0]
    settled = (whole < np.array([first.below[each] for each in CATEGORIES])).all(1)
    lines = [first.calibration[each] for each in CATEGORIES]
    odds = whole * np.array([line.slope for line in lines]) + np.array([line.intercept for line in lines])
    return settled, sigmoid(odds)


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Where rows are from. name (n,): of the source.  road (n,): by which the picture came."""

    name: np.ndarray
    road: np.ndarray

    @property
    def places(self) -> np.ndarray:
        """Sources on their roads, text (n,)."""
        return np.array([f"{name} {road}" for name, road in zip(self.name, self.road, strict=True)])


def profile_points(
    probabilities: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    genuine: np.ndarray,
    sources: Sources,
    risk: Risk,
) -> ProfilePoints:
    """Thresholds of one profile, with their measured rates.

    probabilities (n, 5) of heads and fusions that never saw the rows; weights (n, 5) of the forged rows for recall;
    genuine (n,) bool: real genuine pictures. The four categories share their risk: the same quantile of
    each, moved until all together send no more genuine pictures to review than `risk.review`. By an output that no
    forged row taught nothing is acted on: its threshold is out of reach.
    """
    clean, even, places = probabilities[genuine], alike(sources.name[genuine]), sources.places[genuine]
    limits = np.full(len(CATEGORIES), _HIGHEST)
    review = [CATEGORIES.index(category) for category in FORGERY_CATEGORIES]
    made = [CATEGORIES.index(Category.AI_GENERATED)]
    acted = np.zeros(len(clean), bool)  # on, by the other action
    for columns, allowed in ((review, risk.review), (made, risk.label)):
        limits[columns] = _within(clean[:, columns], even, places, allowed, risk.worst_source, acted)
        acted |= (clean[:, columns] >= limits[columns]).any(1)
    limits[~((targets > 0) & (weights > 0)).any(0)] = _HIGHEST
    points = []
    for k, category in enumerate(CATEGORIES):
        forged = (targets[:, k] > 0) & (weights[:, k] > 0)
        share = weights[forged, k] / max(weights[forged, k].sum(), 1e-12)
        action = Action.LABEL if category is Category.AI_GENERATED else Action.REVIEW
        threshold = Threshold(category, action, round(float(limits[k]), 4))
        false_alarms = _rate(clean[:, [k]] >= threshold.value, even)
        recall = _rate(probabilities[forged][:, [k]] >= threshold.value, share)
        points.append(OperatingPoint(threshold=threshold, false_alarms=false_alarms, recall=recall))
    return ProfilePoints(tuple(points), _rate(clean >= limits.round(4), even))


def _rate(over: np.ndarray, weight: np.ndarray) -> float:
    """Weighted share of rows with any column over its threshold."""
    return round(float(min((over.any(1) * weight).sum(), 1.0)), 5)


def _within(
    clean: np.ndarray, even: np.ndarray, places: np.ndarray, allowed: float, worst: float, acted: np.ndarray
) -> np.ndarray:
    """Thresholds of these columns, at one quantile of each, that together act on at most `allowed` of the genuine.

    worst: the share of any one place, a source on a road, of 40 pictures or more that they and `acted` may act on.
    """
    names, at, counts = np.unique(places, return_inverse=True, return_counts=True)
    big = counts >= _LEAST_SOURCE

    def limits(tail: float) -> np.ndarray:
        return np.array([min(quantile(column, even, 1 - tail) + 1e-4, _HIGHEST) for column in clean.T])

    def fits(tail: float) -> bool:
        over = (clean >= limits(tail)).any(1)
        alone = np.bincount(at, over | acted, len(names)) / counts
        return bool((over * even).sum() <= allowed and not (alone[big] > worst).any())

    low, high = 0.0, allowed
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return limits(high if fits(high) else low)


def all_profiles(
    spec: TrainSpec,
    probabilities: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    genuine: np.ndarray,
    sources: Sources,
) -> Mapping[Profile, ProfilePoints]:
    """`profile_points` of every profile of the config."""
    return {
        name: profile_points(probabilities, targets, weights, genuine, sources, risk)
        for name, risk in spec.profiles.items()
    }


def untaught_of(samples: Sequence[Sample]) -> list[str]:
    """Which outputs no forged picture teaches, a sentence each."""
    taught = np.any([(target > 0) & (known > 0) for target, known in (sample.targets() for sample in samples)], axis=0)
    return [
        f"no picture shows {category.value}, so its score says nothing and nothing is acted on by it"
        for category, there in zip(CATEGORIES, taught, strict=True)
        if not there
    ]


def few_for(spec: TrainSpec, count: int) -> list[str]:
    """Which rates of the profiles so many genuine pictures cannot promise, a sentence each.

    Where none of n pictures is acted on, the rate may still be 3 / n (95 %).
    """
    said = []
    for profile, risk in spec.profiles.items():
        few = [
            f"{action} {rate:.2%} needs {int(np.ceil(3 / rate))}"
            for action, rate in (("label", risk.label), ("review", risk.review))
            if rate > 0 and count < 3 / rate
        ]
        if few:
            said.append(
                f"{count} genuine pictures are too few for the rates of the profile {profile.value}: {', '.join(few)}; "
                f"with these it may act on {min(3 / max(count, 1), 1):.2%} of genuine ones"
            )
    return said
