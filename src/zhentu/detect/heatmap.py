"""Where the picture was forged: the maps of the whole view and of the crops, combined over the picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.views import Box
from zhentu.types import CATEGORIES, Heatmap, Picture, Scores

LONG_SIDE = 48  # cells of a heatmap along the longer side of the picture
_RENDER_SIDE = 1024  # pixels
_GROUND = 0.1  # quantile of a picture's places that counts as untouched ground
_MOST_OPAQUE = 0.7
_COOLEST = 0.45  # of the colour map: weak evidence is shown faint, not blue


def place_map(
    whole: npt.NDArray[np.floating],
    crops: npt.NDArray[np.floating],
    boxes: Sequence[Box],
    crop_size: int,
    height: int,
    width: int,
) -> npt.NDArray[np.float32]:
    """Probability that a place is forged, float32 (rows, columns) over a picture of (height, width) pixels.

    whole: (h, w) of the whole view; crops: (N, h2, w2) of the crops of `crop_size` pixels at `boxes`. Where crops
    looked, a cell is the mean of both looks; elsewhere the whole view speaks alone.
    """
    scale = LONG_SIDE / max(height, width)
    rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
    grid = cv2.resize(whole.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    close, seen = np.zeros((2, rows, columns), np.float32)
    for crop, box in zip(crops, boxes, strict=True):
        x0, y0 = min(int(box.x * scale), columns - 1), min(int(box.y * scale), rows - 1)
        x1 = min(max(int(np.ceil((box.x + box.w) * scale)), x0 + 1), columns)
        y1 = min(max(int(np.ceil((box.y + box.h) * scale)), y0 + 1), rows)
        close[y0:y1, x0:x1] += cv2.resize(
            _inside(crop, box, crop_size), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR
        )
        seen[y0:y1, x0:x1] += 1
    looked = seen > 0
    grid[looked] = (grid[looked] + close[looked] / seen[looked]) / 2
    return np.asarray(grid.clip(0, 1), dtype=np.float32)


def heatmaps_of(places: npt.NDArray[np.float32], scores: Scores, stands_out: float) -> tuple[Heatmap, ...]:
    """One heatmap per category: its score where the picture looks most forged, 0 on the ground.

    If no place exceeds the ground by `stands_out`, the picture was made or changed as a whole, or not at all: the map
    is then the score everywhere, instead of pointing at a place.
    """
    ground = float(np.quantile(places, _GROUND))
    height = float(places.max()) - ground
    shape = (places - ground).clip(0) / height if height >= max(stands_out, 1e-6) else np.ones_like(places)
    return tuple(
        Heatmap((scores.of(category) * shape).astype(np.float32).clip(0, 1), category) for category in CATEGORIES
    )


def overlay(picture: Picture, heatmap: Heatmap, max_side: int = _RENDER_SIDE) -> npt.NDArray[np.uint8]:
    """The picture under warm colours where there is evidence, unchanged elsewhere; uint8 RGB, at most `max_side`."""
    scale = min(max_side / max(picture.width, picture.height), 1.0)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    rgb = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA)
    heat = cv2.resize(heatmap.grid, size, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    levels = ((_COOLEST + (1 - _COOLEST) * heat) * 255).round().astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    opacity = (_MOST_OPAQUE * heat)[..., None]
    return np.asarray((rgb * (1 - opacity) + colours * opacity).round(), dtype=np.uint8)


def render(picture: Picture, heatmap: Heatmap) -> bytes:
    """The overlay as PNG bytes."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(overlay(picture, heatmap), cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def _inside(crop: npt.NDArray[np.floating], box: Box, size: int) -> npt.NDArray[np.float32]:
    """The cells of a crop's map that lie inside the picture; a small picture was mirrored to fill the crop."""
    rows, columns = (max(round(cells * seen / size), 1) for cells, seen in zip(crop.shape, (box.h, box.w), strict=True))
    return np.ascontiguousarray(crop[:rows, :columns], dtype=np.float32)
