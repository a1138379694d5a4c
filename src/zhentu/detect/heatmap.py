"""Where the model looked: category maps of the whole view and of the crops, put together over the picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.views import Box
from zhentu.types import CATEGORIES, Heatmap, Picture

LONG_SIDE = 48  # cells of a heatmap along the longer side of the picture
_RENDER_SIDE = 1024  # pixels


def combine(
    whole: npt.NDArray[np.floating], crops: npt.NDArray[np.floating], boxes: Sequence[Box], height: int, width: int
) -> tuple[Heatmap, ...]:
    """One heatmap per category over a picture of (height, width).

    whole: probabilities (5, h, w) of the whole view; crops: (N, 5, h2, w2) of the crops at `boxes`. Where crops looked,
    the cell is the mean of both views; elsewhere the whole view speaks alone.
    """
    scale = LONG_SIDE / max(height, width)
    rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
    heatmaps = []
    for index, category in enumerate(CATEGORIES):
        grid = cv2.resize(whole[index].astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
        close = np.zeros((rows, columns), np.float32)
        seen = np.zeros((rows, columns), np.float32)
        for crop, box in zip(crops[:, index], boxes, strict=True):
            x0, y0 = int(box.x * scale), int(box.y * scale)
            x1, y1 = (
                min(int(np.ceil((box.x + box.w) * scale)), columns),
                min(int(np.ceil((box.y + box.h) * scale)), rows),
            )
            patch = cv2.resize(crop.astype(np.float32), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
            close[y0:y1, x0:x1] += patch
            seen[y0:y1, x0:x1] += 1
        looked = seen > 0
        grid[looked] = (grid[looked] + close[looked] / seen[looked]) / 2
        heatmaps.append(Heatmap(grid.clip(0, 1), category))
    return tuple(heatmaps)


def overlay(picture: Picture, heatmap: Heatmap, max_side: int = _RENDER_SIDE) -> npt.NDArray[np.uint8]:
    """The picture with warm colours where the category's evidence is, uint8 RGB, at most `max_side` a side."""
    scale = min(max_side / max(picture.width, picture.height), 1.0)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    rgb = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA)
    heat = cv2.resize(heatmap.grid, size, interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colours = cv2.cvtColor(cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    opacity = (0.15 + 0.5 * heat)[..., None]
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray((grey * (1 - opacity) + colours * opacity).round(), dtype=np.uint8)


def render(picture: Picture, heatmap: Heatmap) -> bytes:
    """The overlay as PNG bytes."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(overlay(picture, heatmap), cv2.COLOR_RGB2BGR))
    return encoded.tobytes()
