"""The goods of one picture alone, at full detail: what the comparison looks at.

The goods are cut out by the finder's box, put on white by its mask and brought to one size, so that neither ground nor
framing enters.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.goods import Goods
from zhentu.detect.views import RgbArray, whole_view

FloatArray = npt.NDArray[np.float32]

SIDE = 448  # pixels of the canvas: twice the encoder's view
VIEW = 224
PLACES = 14  # a side, of the encoder's view
_MOST_POINTS = 500
ALIKE = 0.9  # cosine of two RootSIFT descriptors of one detail
_APART = 24.0  # canvas pixels from which on a twin is another detail, not the same one at another scale
_LARGEST_GAIN = 2.5  # smaller goods are not blown up further: there is nothing to see
_WHITE_LIGHTNESS, _WHITE_CHROMA = 62.0, 16.0  # CIE Lab; ground, paper and walls that tell the light's colour
_LEVELS = np.arange(256, dtype=np.float32) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Key points of the goods on the canvas: positions float32 (N, 2) as x, y; RootSIFT descriptors (N, 128).

    repeated: share of details that stand elsewhere on the same goods once more.
    """

    at: FloatArray
    described: FloatArray
    repeated: float = field(init=False)

    def __post_init__(self) -> None:
        """Look for twins once, not with every picture that is compared."""
        object.__setattr__(self, "repeated", _repeated(self.at, self.described))


def _repeated(at: FloatArray, described: FloatArray) -> float:
    if len(at) < 2:
        return 0.0
    squares = (at**2).sum(1)
    apart = squares[:, None] + squares[None] - 2 * at @ at.T > _APART**2
    return float((np.where(apart, described @ described.T, 0).max(1) > ALIKE).mean())


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """The goods alone.

    rgb: uint8 (SIDE, SIDE, 3), on white.  mask: float32 (SIDE, SIDE) in [0, 1].
    light: linear-light gains (3,) that make the picture's neutral areas neutral, ones if it has none; light_known:
    whether it has.
    scale: canvas pixels per picture pixel, above 1 where the goods were enlarged.  corner: where the canvas lies in the
    picture: picture x = corner x + canvas x / scale.
    """

    rgb: RgbArray
    mask: FloatArray
    light: FloatArray
    light_known: bool
    scale: float
    corner: tuple[float, float]
    points: Points


def canvas_of(rgb: RgbArray, goods: Goods) -> Canvas:
    """The goods of a picture, uint8 RGB (height, width, 3), on the canvas."""
    box = goods.box
    scale = min(SIDE / max(box.w, box.h), _LARGEST_GAIN)
    width, height = max(round(box.w * scale), 1), max(round(box.h * scale), 1)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    cut = cv2.resize(rgb[box.y : box.y + box.h, box.x : box.x + box.w], (width, height), interpolation=how)
    alpha = cv2.resize(
        goods.mask_at(*rgb.shape[:2])[box.y : box.y + box.h, box.x : box.x + box.w], (width, height),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )  # fmt: skip
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    canvas = np.full((SIDE, SIDE, 3), 255, np.uint8)
    mask = np.zeros((SIDE, SIDE), np.float32)
    soft = alpha[..., None]
    canvas[top : top + height, left : left + width] = np.round(cut * soft + 255 * (1 - soft))
    mask[top : top + height, left : left + width] = alpha
    light, known = neutral_light(rgb)
    return Canvas(canvas, mask, light, known, scale, (box.x - left / scale, box.y - top / scale), _points(canvas, mask))


def view_of(canvas: Canvas) -> RgbArray:
    """The canvas as the encoder sees it, uint8 (VIEW, VIEW, 3)."""
    return whole_view(canvas.rgb, VIEW)


def neutral_light(rgb: RgbArray) -> tuple[FloatArray, bool]:
    """Gains (3,) that make near-neutral bright areas neutral, and whether there are enough of them (2 %)."""
    small = whole_view(rgb, 128)
    lab = lab_of(small)
    neutral = (lab[..., 0] > _WHITE_LIGHTNESS) & (np.hypot(lab[..., 1], lab[..., 2]) < _WHITE_CHROMA)
    if neutral.mean() < 0.02:
        return np.ones(3, np.float32), False
    mean = linear(small)[neutral].mean(0)
    return np.asarray(mean.mean() / np.maximum(mean, 1e-4), dtype=np.float32), True


def linear(rgb: RgbArray) -> FloatArray:
    """uint8 sRGB as linear light (IEC 61966-2-1): float32 in [0, 1], of the same shape."""
    return np.asarray(cv2.LUT(rgb, _LINEAR))


def lab_of(rgb: RgbArray, light: FloatArray | None = None) -> FloatArray:
    """CIE Lab (lightness 0 to 100), after the gains of `light` where given."""
    if light is None:
        return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))
    gained = (_LINEAR[:, np.newaxis] * light).clip(0, 1)[np.newaxis]  # a table for each channel
    return np.asarray(cv2.cvtColor(cv2.LUT(rgb, gained), cv2.COLOR_LRGB2LAB))


def _points(rgb: RgbArray, mask: FloatArray) -> Points:
    inside = cv2.dilate((mask > 0.5).astype(np.uint8), np.ones((9, 9), np.uint8))
    # A negative has the same details. Its ground is 0 and stays 0 when blurred; white rounds to what looks like points,
    # and each costs time before it is refused.
    negative = 255 - cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    found, described = cv2.SIFT.create(_MOST_POINTS, contrastThreshold=0.02).detectAndCompute(negative, inside)
    if not found:
        return Points(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    root = np.sqrt(described / np.maximum(described.sum(1, keepdims=True), 1e-6))
    return Points(np.asarray([point.pt for point in found], np.float32), np.asarray(root, np.float32))
