"""Things that occur twice: key points of a picture that agree with others of it under one move, turn and scale.

Copy-move detection by key points: Amerini et al. (2011), with ORB (Rublee et al. 2011) for its speed.
"""

from __future__ import annotations

import cv2
import numpy as np

from zhentu_training.consistent.regions import Regions

_KEY_POINTS = 500
_APART = 0.08  # of the side: neighbours of a key point look like it anyway
_MOST_BITS = 48  # of 256, between two descriptors
_LEAST_MATCHES = 6


def repeats(regions: Regions) -> dict[str, float]:
    """All figures of this file."""
    nothing = {"repeat.matches": 0.0, "repeat.agree": 0.0, "repeat.share": 0.0, "repeat.moved": 0.0}
    grey = regions.grey.round().clip(0, 255).astype(np.uint8)
    finder = cv2.ORB.create(_KEY_POINTS, fastThreshold=12)
    points, described = finder.detectAndCompute(grey, None)
    if described is None or len(points) < 2 * _LEAST_MATCHES:
        return nothing
    at = np.array([each.pt for each in points], np.float32)
    bits = np.unpackbits(np.asarray(described, np.uint8), axis=1).astype(np.float32)
    distance = bits @ (1 - bits).T
    distance += distance.T
    away = np.linalg.norm(at[:, None] - at[None], axis=2) > _APART * regions.side
    distance[~away] = 256
    nearest = distance.argmin(1)
    mutual = nearest[nearest] == np.arange(len(at))
    close = (distance[np.arange(len(at)), nearest] <= _MOST_BITS) & mutual & (np.arange(len(at)) < nearest)
    first, second = at[close], at[nearest[close]]
    count = float(np.log1p(len(first)))
    if len(first) < _LEAST_MATCHES:
        return nothing | {"repeat.matches": count}
    cv2.setRNGSeed(7)  # RANSAC draws from OpenCV's own generator: the same picture, the same figures
    move, inliers = cv2.estimateAffinePartial2D(first, second, method=cv2.RANSAC, ransacReprojThreshold=4.0)
    if move is None:
        return nothing | {"repeat.matches": count}
    kept = inliers.ravel() > 0
    shift = np.linalg.norm((second - first)[kept].mean(0)) / regions.side if kept.any() else 0.0
    return {
        "repeat.matches": count,
        "repeat.agree": float(np.log1p(kept.sum())),
        "repeat.share": float(kept.mean()),
        "repeat.moved": float(shift),
    }
