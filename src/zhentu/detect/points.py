"""Key points of two canvases: which belong together, how one lies over the other, and which found no partner."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.canvas import ALIKE, SIDE, Canvas, FloatArray, Points

LEAST_INLIERS = 12
_RATIO = 0.85  # of best to second-best distance (Lowe 2004)
_MIRROR = np.arange(128).reshape(4, 4, 8)[::-1][..., -np.arange(8) % 8].ravel()  # of a SIFT descriptor
_NEAR = 24.0  # canvas pixels from the affine motion within which a perspective one looks for its pairs

POINT_NAMES = (
    *("points.matched", "points.inliers", "points.share", "points.second", "points.second_scale"),
    *("points.alone", "points.alone_gap", "points.best", "points.repeated", "points.mirrored"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """How the second canvas lies over the first. warp: float32 (3, 3), canvas pixels; None where they do not align."""

    figures: dict[str, float]
    warp: FloatArray | None


def motion_of(first: Canvas, second: Canvas) -> Motion:
    """The motion of most pairs of key points, and what the others say.

    Pictures that do not align, or align only by a reflection, are tried once more with the second one's details
    mirrored: many uploads are mirrored.
    """
    none = dict.fromkeys(POINT_NAMES, 0.0)
    fewest = min(len(first.points.at), len(second.points.at))
    if fewest < LEAST_INLIERS:
        return Motion(none, None)
    plain = _motion(first.points, second.points, first.points.described @ second.points.described.T)
    found = plain
    if plain.warp is None or np.linalg.det(plain.warp[:2, :2]) < 0:
        mirrored = _motion(first.points, second.points, first.points.described @ _mirrored(second.points.described).T)
        found = plain if mirrored.warp is None else mirrored
    repeated = abs(first.points.repeated - second.points.repeated)
    figures = {"points.repeated": repeated, "points.mirrored": float(found is not plain)}
    return Motion(none | found.figures | figures, found.warp)


def _motion(first: Points, second: Points, likeness: FloatArray) -> Motion:
    """likeness: cosines of the first one's details with those of the second, as it is or mirrored."""
    figures = _alone(likeness)
    kept, top = _choosing_each_other(likeness)
    a, b = first.at[kept], second.at[top[kept]]
    figures["points.matched"] = len(a) / min(likeness.shape)
    if len(a) < LEAST_INLIERS:
        return Motion(figures, None)
    cv2.setRNGSeed(7)
    affine, marks = cv2.estimateAffine2D(b, a, ransacReprojThreshold=6.0, maxIters=1500)
    inside = np.zeros(len(a), bool) if affine is None else marks.ravel() > 0
    count = int(inside.sum())
    figures |= {"points.inliers": float(np.log1p(count)), "points.share": count / len(a)}
    size = 0.0 if affine is None else abs(float(np.linalg.det(affine[:, :2])))
    if count < LEAST_INLIERS or not 0.2 < size < 5:
        return Motion(figures, None)
    figures |= _second(a[~inside], b[~inside], size, len(a))
    return Motion(figures, _in_perspective(a, b, np.vstack([affine, [0, 0, 1]]), count))


def _mirrored(described: FloatArray) -> FloatArray:
    """Details as their mirror images: rows across the direction turn over, directions turn round."""
    return np.ascontiguousarray(described[:, _MIRROR])


def moved(points: FloatArray, warp: FloatArray) -> FloatArray:
    """Positions (N, 2) after a warp (3, 3)."""
    flat = np.concatenate([points, np.ones((len(points), 1), np.float32)], 1) @ warp.T
    return np.asarray(flat[:, :2] / np.maximum(flat[:, 2:], 1e-3), np.float32)


def _choosing_each_other(likeness: FloatArray) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Which points of the first choose a point of the second clearly before all others, and are chosen by it."""
    rows, top = np.arange(len(likeness)), likeness.argmax(1)
    others = likeness.copy()
    others[rows, top] = -np.inf
    nearest, next_nearest = (np.sqrt(np.maximum(2 - 2 * each, 0)) for each in (likeness[rows, top], others.max(1)))
    kept = (nearest < _RATIO * next_nearest) & (likeness.argmax(0)[top] == rows)
    return kept, top


def _alone(likeness: FloatArray) -> dict[str, float]:
    """Details of one picture that have no counterpart in the other: an added print or button leaves some."""
    best = likeness.max(1), likeness.max(0)
    alone = [float((each < ALIKE).mean()) for each in best]
    return {
        "points.alone": max(alone),
        "points.alone_gap": abs(alone[0] - alone[1]),
        "points.best": float(min(each.mean() for each in best)),
    }


def _second(a: FloatArray, b: FloatArray, size: float, count: int) -> dict[str, float]:
    """A second motion among the pairs that the first does not explain: goods with one stretched part have two."""
    if len(a) < 8:
        return {}
    cv2.setRNGSeed(7)
    other, marks = cv2.estimateAffine2D(b, a, ransacReprojThreshold=6.0, maxIters=500)
    together = 0 if other is None else int(marks.sum())
    if together < 6:
        return {}
    found = {"points.second": together / count}
    area = abs(float(np.linalg.det(other[:, :2])))
    return found | {"points.second_scale": abs(float(np.log(max(area, 0.05) / size))) if area < 20 else 3.0}


def _in_perspective(a: FloatArray, b: FloatArray, affine: npt.NDArray[np.float64], count: int) -> FloatArray:
    """The affine motion, or a perspective one where it explains more and does not fold the canvas."""
    near = np.linalg.norm(moved(b, np.asarray(affine, np.float32)) - a, axis=1) < _NEAR
    if near.sum() >= 2 * LEAST_INLIERS:
        cv2.setRNGSeed(7)
        found, marks = cv2.findHomography(b[near], a[near], cv2.RANSAC, 4.0, maxIters=1000)
        corners = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], np.float32)
        if found is not None and int(marks.sum()) >= count:
            off = moved(corners, found.astype(np.float32)) - moved(corners, affine.astype(np.float32))
            if np.abs(off).max() < SIDE / 4:
                return np.asarray(found, np.float32)
    return np.asarray(affine, np.float32)
