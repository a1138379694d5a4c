"""A picture split by its goods' mask: goods, surroundings, and the ground near the outline."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.views import RgbArray

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

WORK_SIDE = 800  # pixels of the longer side; beyond it nothing is gained, and the time grows with the square
_RIM = 0.008  # of the side: how far the finder's outline may be off; neither goods nor ground is measured there
_NEAR = 0.12  # of the side
_SLOPE = np.array([[-0.5, 0.0, 0.5]], np.float32)
_CLIPPED = (6.0, 249.0)  # grey levels; beyond them a sensor's noise is cut off


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """One picture at working size.

    rgb: float32 (H, W, 3), 0 to 255.  grey: float32 (H, W), BT.601.  lab: float32 (H, W, 3), CIE.
    depth: signed distance from the outline in pixels, positive in the goods.
    goods, ground, near: what surely is goods, what surely is not, and the part of that close to the goods.
    exposed: neither burnt out nor black.  side: square root of the area, pixels.
    """

    rgb: FloatArray
    grey: FloatArray
    lab: FloatArray
    depth: FloatArray
    goods: BoolArray
    ground: BoolArray
    near: BoolArray
    exposed: BoolArray
    side: float


def regions_of(rgb: RgbArray, mask: FloatArray) -> Regions:
    """uint8 RGB (H, W, 3) and the finder's mask (S, S) over the whole picture."""
    scale = WORK_SIDE / max(rgb.shape[:2])
    if scale < 1:
        size = (max(round(rgb.shape[1] * scale), 8), max(round(rgb.shape[0] * scale), 8))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    height, width = rgb.shape[:2]
    solid = (cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5).astype(np.uint8)
    depth = cv2.distanceTransform(solid, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - solid, cv2.DIST_L2, 3)
    side = float(np.sqrt(height * width))
    depth = depth.clip(-side, side)  # a mask without an outline is infinitely far from it
    rim = max(3.0, _RIM * side)
    pixels = rgb.astype(np.float32)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    exposed = (pixels.max(2) < _CLIPPED[1]) & (pixels.max(2) > _CLIPPED[0])
    return Regions(
        rgb=pixels,
        grey=np.asarray(grey, np.float32),
        lab=np.asarray(cv2.cvtColor(pixels / 255, cv2.COLOR_RGB2LAB), np.float32),
        depth=np.asarray(depth, np.float32),
        goods=depth > rim,
        ground=depth < -rim,
        near=(depth < -rim) & (depth > -rim - _NEAR * side),
        exposed=np.asarray(exposed),
        side=side,
    )


def log_ratio(first: float, second: float, floor: float) -> float:
    """Logarithm of first over second, both kept from nothing by `floor`."""
    return float(np.log((first + floor) / (second + floor)))


def quantile(values: npt.NDArray[np.floating], share: float, otherwise: float = 0.0) -> float:
    """A quantile of what may be empty."""
    return float(np.quantile(values, share)) if values.size else otherwise


def slopes(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Derivatives of (H, W) across and down, a pixel."""
    across = cv2.filter2D(values, cv2.CV_32F, _SLOPE, borderType=cv2.BORDER_REPLICATE)
    down = cv2.filter2D(values, cv2.CV_32F, _SLOPE.T, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def smoothed(values: FloatArray, side: float) -> FloatArray:
    """Averaged twice over squares of `side` pixels: nearly Gaussian, at a cost that does not grow with the side."""
    reach = (2 * int(side / 2) + 1,) * 2
    return np.asarray(cv2.blur(cv2.blur(values, reach), reach), np.float32)
