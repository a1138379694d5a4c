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
_COARSE_FACTOR = 4  # training pictures (720 px at most) are never averaged twice; a small factor would blur them
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
    """The whole picture, uint8 (size, size, 3); area averaging on the way down, so that nothing aliases.

    Large pictures are first averaged by an integer factor, which OpenCV does four times faster; fewer pixels than that
    factor are left out at the right and lower border.
    """
    height, width = rgb.shape[:2]
    factor = min(height, width) // size
    if factor >= _COARSE_FACTOR:
        height, width = height // factor, width // factor
        window = rgb[: height * factor, : width * factor]
        rgb = np.asarray(cv2.resize(window, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    shrinks = min(height, width) >= size
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def native_crop(rgb: RgbArray, box: Box, size: int) -> RgbArray:
    """One window at native resolution, uint8 (size, size, 3), mirrored at the border of a picture that is smaller."""
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
    left, right = _spans(xs, size, width, side)
    top, bottom = _spans(ys, size, height, side)
    boxes: list[Box] = []
    free = np.ones((len(ys), len(xs)), bool)
    for _ in range(min(spec.crop_count, free.size)):
        sums = cv2.integral(energy)
        below, above = sums[bottom], sums[top]
        windows = below[:, right] - above[:, right] - below[:, left] + above[:, left]
        j, i = divmod(int(np.where(free, windows, -np.inf).argmax()), len(xs))
        free[j, i] = False
        energy[top[j] : bottom[j], left[i] : right[i]] *= 0.1
        boxes.append(Box(xs[i], ys[j], min(size, width), min(size, height)))
    return tuple(boxes)


def _spans(starts: list[int], size: int, length: int, side: int) -> tuple[list[int], list[int]]:
    """Windows of the picture's axis as (first, last + 1) pixels of the resized view's axis, each of one pixel at least.

    A window of a very long picture is less than a pixel of the view; it still weighs what lies under it.
    """
    firsts = [min(round(start * side / length), side - 1) for start in starts]
    ends = [round(min(start + size, length) * side / length) for start in starts]
    return firsts, [max(end, first + 1) for first, end in zip(firsts, ends, strict=True)]


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
