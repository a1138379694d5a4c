"""RGB -> the two looks of the detector. Training, export checks and serving all prepare pictures here.

The detector looks twice: at the whole picture resized (meaning, scene, effect) and at several crops at native
resolution, never resized (edges, noise, generator traces). Both leave as uint8 RGB; normalisation is part of the ONNX
graph, so no second place can disagree about it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

RgbArray = npt.NDArray[np.uint8]

_GRADIENT_CAP = 24  # grey levels; above it an edge counts no more, or print and outlines would take every crop
_FLAT_FLOOR = 0.25  # energy given to flat ground, so that a blank picture still yields spread-out crops


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """How a picture is looked at; travels with the weights in `models/manifest.json`.

    whole_size: side in pixels of the square resized view.  crop_size: side of a native crop.
    crop_count: at most so many crops, 1 or more; small pictures yield fewer.
    """

    whole_size: int
    crop_size: int
    crop_count: int


@dataclass(frozen=True, slots=True)
class Box:
    """A window in picture pixels: left, top, width, height. A crop of a smaller picture is padded beyond it."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """What the graph takes: whole uint8 (1, S, S, 3), crops uint8 (N, C, C, 3), and where each crop was."""

    whole: RgbArray
    crops: RgbArray
    boxes: tuple[Box, ...]


def make_views(rgb: RgbArray, spec: ViewSpec) -> Views:
    """Prepare one picture, uint8 RGB of shape (height, width, 3), for the detector. Deterministic."""
    whole = whole_view(rgb, spec.whole_size)
    boxes = choose_boxes(whole, rgb.shape[0], rgb.shape[1], spec)
    crops = np.stack([native_crop(rgb, box, spec.crop_size) for box in boxes])
    return Views(whole[np.newaxis], crops, boxes)


def whole_view(rgb: RgbArray, size: int) -> RgbArray:
    """The whole picture as a square of `size` pixels; area averaging on the way down, so that nothing aliases."""
    shrinks = min(rgb.shape[:2]) >= size
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def native_crop(rgb: RgbArray, box: Box, size: int) -> RgbArray:
    """One window at native resolution; mirrored at the border where the picture is smaller than the crop."""
    crop = rgb[box.y : box.y + box.h, box.x : box.x + box.w]
    below, right = size - crop.shape[0], size - crop.shape[1]
    if below or right:
        crop = np.asarray(cv2.copyMakeBorder(crop, 0, below, 0, right, cv2.BORDER_REFLECT), dtype=np.uint8)
    return np.ascontiguousarray(crop)


def choose_boxes(whole: RgbArray, height: int, width: int, spec: ViewSpec) -> tuple[Box, ...]:
    """Where to crop: windows of most texture first, each at most half covered by those already taken.

    A catalogue picture is mostly white ground, which says nothing; texture is measured on the resized view because it
    is there already. Greedy: after a window is taken, the energy under it is spent.
    """
    size = spec.crop_size
    xs, ys = _starts(width, size), _starts(height, size)
    energy = _texture(whole)
    side = whole.shape[0]
    edges_x = [(round(x * side / width), max(round(min(x + size, width) * side / width), 1)) for x in xs]
    edges_y = [(round(y * side / height), max(round(min(y + size, height) * side / height), 1)) for y in ys]
    boxes: list[Box] = []
    taken: set[tuple[int, int]] = set()
    for _ in range(min(spec.crop_count, len(xs) * len(ys))):
        sums = cv2.integral(energy)
        best = max(
            ((i, j) for j in range(len(ys)) for i in range(len(xs)) if (i, j) not in taken),
            key=lambda ij: _window(sums, edges_x[ij[0]], edges_y[ij[1]]),
        )
        taken.add(best)
        (x0, x1), (y0, y1) = edges_x[best[0]], edges_y[best[1]]
        energy[y0:y1, x0:x1] *= 0.1
        x, y = xs[best[0]], ys[best[1]]
        boxes.append(Box(x, y, min(size, width), min(size, height)))
    return tuple(boxes)


def _starts(length: int, size: int) -> list[int]:
    """Evenly spread window starts about half a window apart, both ends included, at most 24 a side."""
    room = length - size
    if room <= 0:
        return [0]
    count = min(max(2, -(-2 * room // size) + 1), 24)
    return [round(k * room / (count - 1)) for k in range(count)]


def _texture(whole: RgbArray) -> npt.NDArray[np.float32]:
    grey = cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1)) + np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1))
    return np.asarray(np.minimum(gradient, _GRADIENT_CAP) + _FLAT_FLOOR, dtype=np.float32)


def _window(sums: npt.NDArray[np.integer | np.floating], span_x: tuple[int, int], span_y: tuple[int, int]) -> float:
    (x0, x1), (y0, y1) = span_x, span_y
    return float(sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0])
