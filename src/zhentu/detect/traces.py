"""What processing leaves in a picture, cell by cell: colours, noise, sharpness and their disagreement.

A pasted, recoloured or smoothed part has been resampled, compressed or denoised otherwise than what lies around it
(Fridrich & Kodovsky 2012, "Rich Models"). None of these figures says "forged" alone; `zhentu.detect.locator` reads how
a cell differs from the rest of its own picture. Serving and training measure by this code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.views import RgbArray

CELLS = 28  # a side, over the whole picture whatever its shape
FIGURES = 26  # of a cell
_LONG_SIDE, _SHORTEST = 640, 32  # pixels a picture is shrunk to; no side is shorter than the second
_BRIGHT, _DARK = 250, 8  # of 255, clipped
_BLOCK = 8  # pixels a side of JPEG's blocks
_SHARPNESS = (0.7, 1.4, 2.8)  # deviations of the blurs between which detail is told apart

_Plane = npt.NDArray[np.float32]


def _kernel(rows: list[list[int]], scale: float) -> _Plane:
    return np.array(rows, np.float32) / scale


# High-pass filters of the rich models: second differences along both axes, and in squares of 3 and 5 pixels.
_SQUARE = _kernel([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], 4)
_RESIDUALS = (
    _kernel([[0, 0, 0], [-1, 2, -1], [0, 0, 0]], 2),
    _kernel([[0, -1, 0], [0, 2, 0], [0, -1, 0]], 2),
    _SQUARE,
    _kernel([[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]], 12),
)


def traces_of(rgb: RgbArray) -> npt.NDArray[np.float32]:
    """Figures of each cell of a picture, uint8 RGB (height, width, 3) -> float32 (CELLS, CELLS, FIGURES)."""
    rgb = _shrunk(rgb)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    floating = rgb.astype(np.float32)
    lab = [np.asarray(each, np.float32) for each in cv2.split(cv2.cvtColor(floating / 255, cv2.COLOR_RGB2LAB))]
    planes = [*_colours(lab), *_residuals(grey, lab), *_details(grey), *_noise(floating), *_limits(rgb, grey)]
    return np.stack(planes, -1)


def _shrunk(rgb: RgbArray) -> RgbArray:
    """At most 640 pixels along the long side, so that a figure means the same in pictures of all sizes."""
    height, width = rgb.shape[:2]
    scale = min(_LONG_SIDE / max(height, width), 1.0)
    size = (max(round(width * scale), _SHORTEST), max(round(height * scale), _SHORTEST))
    if size == (width, height):
        return rgb
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _cells(plane: _Plane) -> _Plane:
    return np.asarray(cv2.resize(plane, (CELLS, CELLS), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _strength(plane: _Plane, kernel: _Plane) -> _Plane:
    residual = np.abs(np.asarray(cv2.filter2D(plane, -1, kernel), np.float32))
    return np.asarray(np.log1p(8 * _cells(residual)), dtype=np.float32)


def _colours(lab: Sequence[_Plane]) -> list[_Plane]:
    """Mean and deviation of L, a and b, and how colourful the mean is."""
    found = []
    for plane in lab:
        mean = _cells(plane)
        found += [mean, np.sqrt(np.maximum(_cells(plane * plane) - mean * mean, 0))]
    return [*found, np.hypot(found[2], found[4])]


def _residuals(grey: _Plane, lab: Sequence[_Plane]) -> Iterator[_Plane]:
    for kernel in _RESIDUALS:
        yield _strength(grey, kernel)
    for plane in lab[1:]:
        yield _strength(plane, _SQUARE)


def _details(grey: _Plane) -> list[_Plane]:
    """Detail at three scales, the ratios of neighbours (resampling moves them), and the share that is quite flat."""
    details = [grey - cv2.GaussianBlur(grey, (0, 0), deviation) for deviation in _SHARPNESS]
    sizes = [_cells(np.abs(detail)) for detail in details]
    ratios = [np.log((fine + 0.05) / (coarse + 0.05)) for fine, coarse in pairwise(sizes)]
    flat = _cells((np.abs(details[0]) < 0.5).astype(np.float32))
    return [*(np.log1p(4 * size) for size in sizes), *ratios, flat]


def _noise(rgb: _Plane) -> list[_Plane]:
    """How the noise of the channels goes together; demosaicking and recolouring leave other relations."""
    red, green, blue = (rgb[..., k] - cv2.GaussianBlur(rgb[..., k], (0, 0), 1.0) for k in range(3))
    power = [_cells(each * each) + 0.1 for each in (red, green, blue)]
    return [
        _cells(red * green) / np.sqrt(power[0] * power[1]),
        _cells(green * blue) / np.sqrt(power[1] * power[2]),
        np.log(power[1] / power[0]),
        np.log(power[1] / power[2]),
    ]


def _limits(rgb: RgbArray, grey: _Plane) -> list[_Plane]:
    """Shares of clipped light and of black, and how far JPEG's grid stands out."""
    brightest = rgb.max(2)
    steps = np.zeros_like(grey)
    steps[:, :-1] = np.abs(np.diff(grey, axis=1))
    grid = np.zeros_like(grey)
    grid[:, _BLOCK - 1 :: _BLOCK] = steps[:, _BLOCK - 1 :: _BLOCK]
    return [
        _cells((brightest >= _BRIGHT).astype(np.float32)),
        _cells((brightest <= _DARK).astype(np.float32)),
        np.log((_cells(grid) * _BLOCK + 0.2) / (_cells(steps) + 0.2)),
    ]
