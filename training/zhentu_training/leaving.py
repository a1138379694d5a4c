"""When the whole look ends early: the limit under which a head on the first blocks settles a picture.

The early head's logits are read as the whole look alone is, and set against the lowest threshold of any profile. The
limit is as high as the config's shares allow: of genuine and of AI-made pictures, sources weighted alike, so few may
leave that would have been acted on. It is chosen on folds and judged on the fold left out, as everything else is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zhentu.detect.calibration import sigmoid
from zhentu.detect.entries import FirstLook
from zhentu.detect.operating import ProfilePoints
from zhentu.types import CATEGORIES, Category, Profile
from zhentu_training.calibrate import fit_fusion, lowest_odds
from zhentu_training.config import ExitSpec, TrainSpec
from zhentu_training.dataset import Origin
from zhentu_training.figures import alike
from zhentu_training.heads import FittedHead
from zhentu_training.rows import Rows

Platts = tuple[np.ndarray, np.ndarray]  # slopes and intercepts (5,) that make log-odds of logits


@dataclass(frozen=True, slots=True, eq=False)
class Judging:
    """What limits are chosen on. targets, weights (n, 5); fold (n,); priors, below (5,): of each output.

    acted: bool (n,), whether the picture as it is scored without an exit is acted on at any profile.
    genuine, made: float (n,), each picture's share of its class, sources alike; nought for the other class.
    below: log-odds that no output of a picture that leaves may reach: of the lowest threshold of any profile, less the
    margin, and never above those under which the whole look settles a picture, because serving asks for crops else.
    """

    targets: np.ndarray
    weights: np.ndarray
    fold: np.ndarray
    priors: np.ndarray
    acted: np.ndarray
    genuine: np.ndarray
    made: np.ndarray
    below: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """Which pictures (n,) left early, by a limit that did not see their fold, and their probabilities (n, 5)."""

    early: np.ndarray
    probabilities: np.ndarray

    def figures(self, judging: Judging) -> list[dict[str, str | float]]:
        """A row for genuine and one for AI-made pictures: shares that leave early, and get another verdict by it."""
        changed = self.early & judging.acted
        return [
            {"pictures": name}
            | {
                what: round(float((chosen * part).sum()), 5)
                for what, chosen in (("left early", self.early), ("another verdict", changed))
            }
            for name, part in (("genuine", judging.genuine), ("AI-made", judging.made))
        ]


def shares(chosen: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Each row's share of the chosen ones, bool (n,): sources alike, nought for all others. Adds up to 1, or to 0."""
    found = np.zeros(len(chosen))
    if chosen.any():
        found[chosen] = alike(source[chosen])
    return found / max(found.sum(), 1e-12)


def left_early(early: np.ndarray, judging: Judging, way_out: ExitSpec) -> Left:
    """Every row by a reading and a limit that are fitted without its fold. early: logits out of fold (n, 5)."""
    leaves, said = np.zeros(len(early), bool), np.zeros(early.shape)
    for each in np.unique(judging.fold):
        inside = judging.fold == each
        rest = ~inside if (~inside).any() else inside
        odds = _odds(_reading(early, judging, rest), early)
        limit = _limit((odds - judging.below).max(1), judging, way_out, rest)
        leaves[inside] = (odds[inside] - judging.below < limit).all(1)
        said[inside] = sigmoid(odds[inside])
    return Left(leaves, said)


def exit_of(early: np.ndarray, judging: Judging, way_out: ExitSpec) -> tuple[Platts, float]:
    """The lines that are shipped, and how far below the lowest thresholds a picture's log-odds must lie to leave."""
    everything = np.ones(len(early), bool)
    reading = _reading(early, judging, everything)
    return reading, _limit((_odds(reading, early) - judging.below).max(1), judging, way_out, everything)


def read_by(head: FittedHead, slope: np.ndarray, intercept: np.ndarray) -> FittedHead:
    """A linear head whose logits are slope * logit + intercept of this one's, (5,) each."""
    return FittedHead(head.weight * slope[:, None], head.bias * slope + intercept)


def as_part(head: FittedHead, first: FirstLook) -> FittedHead:
    """A head that says log-odds, as one that says what the first look's calibration reads as these log-odds."""
    slope, intercept = lines_of(first)
    return read_by(head, 1 / slope, -intercept / slope)


def lines_of(first: FirstLook) -> Platts:
    """How the first look is read."""
    lines = [first.calibration[each] for each in CATEGORIES]
    return np.array([line.slope for line in lines]), np.array([line.intercept for line in lines])


def limits_of(first: FirstLook, below: np.ndarray, limit: float) -> np.ndarray:
    """Under what the early head's part (5,) must lie. below: see `Judging`.  limit: how far below that, in log-odds."""
    slope, intercept = lines_of(first)
    return np.asarray((below + limit - intercept) / slope)


def _reading(early: np.ndarray, judging: Judging, rows: np.ndarray) -> Platts:
    both = np.stack([early[rows], early[rows]], 1)  # a fusion of two looks, the second of which weighs nothing
    found = fit_fusion(both, judging.targets[rows], judging.weights[rows], 0.0, judging.priors)
    return found.weights[:, 0] * found.slopes, found.intercepts


def _odds(reading: Platts, early: np.ndarray) -> np.ndarray:
    return early * reading[0] + reading[1]


def _limit(margin: np.ndarray, judging: Judging, way_out: ExitSpec, rows: np.ndarray) -> float:
    """The highest of these rows' margins under which no more pictures than allowed get another verdict.

    margin (n,): of the output that comes nearest to its lowest threshold, in log-odds.
    """
    order = np.flatnonzero(rows)[np.argsort(margin[rows], kind="stable")]
    allowed = np.ones(len(order), bool)
    for part, share in ((judging.genuine, way_out.genuine), (judging.made, way_out.made)):
        lost = np.cumsum(part[order] * judging.acted[order]) / max(part[rows].sum(), 1e-12)
        allowed &= lost <= share
    last = int(np.argmin(allowed)) if not allowed.all() else len(order) - 1
    return float(min(margin[order[last]], 0.0))


def judging_of(  # noqa: PLR0913 - what the scores are of
    spec: TrainSpec,
    way_out: ExitSpec,
    honest: np.ndarray,
    rows: Rows,
    weights: np.ndarray,
    fold: np.ndarray,
    profiles: Mapping[Profile, ProfilePoints],
    first: FirstLook,
) -> Judging:
    """What limits are chosen on, of scores out of fold without an exit (n, 5)."""
    lowest = lowest_odds(profiles)
    slope, intercept = lines_of(first)
    settled = slope * np.array([first.below[each] for each in CATEGORIES]) + intercept
    margin = np.array([way_out.margin if each is Category.AI_GENERATED else 0.0 for each in CATEGORIES])
    real = np.array([sample.origin is Origin.REAL for sample in rows.samples])
    forged = np.array([sample.forged for sample in rows.samples])
    source = np.array([sample.source for sample in rows.samples])
    return Judging(
        targets=rows.targets,
        weights=weights,
        fold=fold,
        priors=spec.priors,
        acted=np.asarray((honest >= np.asarray(sigmoid(lowest))).any(1)),
        genuine=shares(real & ~forged, source),
        made=shares(real & forged, source),
        below=np.minimum(lowest - margin, settled),
    )


def exit_content(early: np.ndarray, judging: Judging, way_out: ExitSpec, first: FirstLook) -> dict[str, object]:
    """What calibration.json keeps of the exit: how the early head is read, and under what its part must lie."""
    (slope, intercept), limit = exit_of(early, judging, way_out)
    below = limits_of(first, judging.below, limit)
    return {"slope": slope.tolist(), "intercept": intercept.tolist(), "below": below.tolist()}
