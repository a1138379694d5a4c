"""Putting goods on a ground: the geometry, light and matte shared by `scene`, `cutout` and the honest negatives."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from zhentu_training.forge.base import Materials, NotApplicable, to_uint8
from zhentu_training.forge.draws import Draws


@dataclass(frozen=True, slots=True, eq=False)
class Goods:
    """Goods cut tight: uint8 RGB (h, w, 3) and float32 matte (h, w) in [0, 1]."""

    rgb: np.ndarray
    matte: np.ndarray


def cut_goods(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Goods:
    """The picture's own goods, or given ones with a real matte. Raises NotApplicable if neither is there."""
    if mask is None or (materials.cutouts and draw.of("goods").chance("given")):
        rgb, mask = materials.cutout(draw.rng)
    ys, xs = np.nonzero(mask > 0.5)
    if len(ys) < 1500:
        raise NotApplicable("the goods are too small to be cut out")
    margin = 6
    y0, y1 = max(int(ys.min()) - margin, 0), int(ys.max()) + margin
    x0, x1 = max(int(xs.min()) - margin, 0), int(xs.max()) + margin
    return Goods(np.ascontiguousarray(rgb[y0:y1, x0:x1]), np.ascontiguousarray(mask[y0:y1, x0:x1]))


def placed(goods: Goods, height: int, width: int, share: float, draw: Draws, tilt: float = 0.0) -> Goods:
    """Goods on an empty canvas of (height, width); `share` is their longer side relative to the canvas'."""
    h, w = goods.matte.shape
    scale = share * min(height / h, width / w)
    size = (max(int(w * scale), 8), max(int(h * scale), 8))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    rgb, matte = cv2.resize(goods.rgb, size, interpolation=how), cv2.resize(goods.matte, size, interpolation=how)
    room_x, room_y = max(width - size[0], 0), max(height - size[1], 0)
    put = draw.of("goods")
    shift = np.array([[1, 0, put.uniform("across") * room_x], [0, 1, put.uniform("down") * room_y]], np.float32)
    if tilt:
        turn: np.ndarray = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), tilt, 1.0)
        turn[:, 2] += shift[:, 2]
        shift = turn.astype(np.float32)
    canvas = cv2.warpAffine(rgb, shift, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(matte, shift, (width, height), flags=cv2.INTER_LINEAR, borderValue=0.0)
    return Goods(canvas, alpha.clip(0, 1))


def contact_shadow(
    ground: np.ndarray, matte: np.ndarray, strength: float, offset: tuple[int, int], blur: float
) -> np.ndarray:
    """Darken the ground by a blurred, shifted matte."""
    shift = np.array([[1, 0, offset[0]], [0, 1, offset[1]]], np.float32)
    shade = cv2.warpAffine(matte, shift, matte.shape[::-1])
    shade = cv2.GaussianBlur(shade, (0, 0), blur)[..., None]
    return to_uint8(ground * (1 - strength * shade))


def match_light(rgb: np.ndarray, ground: np.ndarray, share: float) -> np.ndarray:
    """Move mean colour and contrast of the goods towards the ground's by `share` (Reinhard et al. 2001, in Lab)."""
    own = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    other = cv2.cvtColor(ground, cv2.COLOR_RGB2LAB).astype(np.float32)
    mean = own.mean((0, 1))
    target = mean + share * (other.mean((0, 1)) - mean)
    return cv2.cvtColor(to_uint8(own - mean + target), cv2.COLOR_LAB2RGB)


def colour_cast(rgb: np.ndarray, warm: float) -> np.ndarray:
    """A wrong colour temperature; warm is -1 (blue) to 1 (orange)."""
    return to_uint8(rgb * np.array([1 + 0.35 * warm, 1.0, 1 - 0.35 * warm], np.float32))
