"""Where the picture was forged: maps over the picture, and how people see them.

Maps are the locator's, one for each category.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.thumbnails import within
from zhentu.types import CATEGORIES, Category, Heatmap, Picture, Scores

LONG_SIDE = 48  # cells of a heatmap along the longer side of the picture
_RENDER_SIDE = 1024  # pixels
_GROUND = 0.1  # quantile of a picture's places that counts as untouched ground
_MOST_OPAQUE, _TINT = 0.75, 0.35  # at a score of 1, of a place, and of "everywhere", which must not hide the picture
_UNSEEN = 0.05  # the score up to which nothing is shown
_COOLEST, _WARMEST = 0.35, 0.9  # of the colour map: neither its black nor its white
_MADE = 0.5  # the score of `ai_generated` from which a picture counts as made by a generator, as a whole


def spread_over(maps: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Square maps (5, n, n) over a picture of (height, width) pixels, in cells of its shape: (5, rows, columns)."""
    rows, columns = _cells_of(height, width)
    return np.stack([cv2.resize(each, (columns, rows), interpolation=cv2.INTER_LINEAR) for each in maps])


def heatmaps_of(places: npt.NDArray[np.float32], scores: Scores, stands_out: float) -> tuple[Heatmap, ...]:
    """One heatmap per category: its score where the picture looks most forged, 0 on the ground.

    places: (5, rows, columns), one map per category. The map is the score everywhere, instead of pointing at a place,
    if no place exceeds the ground by `stands_out`, and that of a picture that is rather AI-made than not: what a
    generator makes, it makes as a whole.
    """
    found = []
    for category, place in zip(CATEGORIES, places, strict=True):
        score = scores.of(category)
        ground = float(np.quantile(place, _GROUND))
        height = float(place.max()) - ground
        whole = height < max(stands_out, 1e-6) or (category is Category.AI_GENERATED and score >= _MADE)
        shape = np.ones_like(place) if whole else (place - ground).clip(0) / height
        found.append(Heatmap((score * shape).astype(np.float32).clip(0, 1), category))
    return tuple(found)


def overlay(picture: Picture, heatmap: Heatmap, max_side: int = _RENDER_SIDE) -> npt.NDArray[np.uint8]:
    """The picture under warm colours where there is evidence, unchanged elsewhere; uint8 RGB, at most `max_side`.

    The colours are even to the eye (Inferno of matplotlib, by Smith & van der Walt), so that a step of the score is a
    step of what is seen; how much they cover grows with the score.
    """
    rgb = within(picture.rgb, max_side)
    heat = cv2.resize(heatmap.grid, rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
    levels = ((_COOLEST + (_WARMEST - _COOLEST) * heat) * 255).round().astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    most = _MOST_OPAQUE if np.ptp(heatmap.grid) > 0 else _TINT
    opacity = (most * (heat - _UNSEEN).clip(0) / (1 - _UNSEEN))[..., None]
    return np.asarray((rgb * (1 - opacity) + colours * opacity).round(), dtype=np.uint8)


def render(picture: Picture, heatmap: Heatmap) -> bytes:
    """The overlay as PNG bytes."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(overlay(picture, heatmap), cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def _cells_of(height: int, width: int) -> tuple[int, int]:
    scale = LONG_SIDE / max(height, width)
    return max(round(height * scale), 1), max(round(width * scale), 1)
