"""Goods cut out as people do it in a hurry: by a network's own matte, a polygon, a magic wand.

The tools err each in its own way: a network swallows straps and leaves ground between spokes, a polygon cuts corners,
a wand eats pale goods and leaves a rim. On plain white the same cut is the trade's normal practice and no offence
(`white_ground`); pasted into a scene it is one.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from zhentu.detect.goods import GoodsFinder
from zhentu.detect.models import Manifest, models_folder
from zhentu.types import Category
from zhentu_training.forge.base import Forgery, Materials, NotApplicable, blend
from zhentu_training.forge.compose import Goods, contact_shadow, match_light, placed
from zhentu_training.forge.draws import Draws

_CUTOUT = frozenset({Category.CUTOUT_ARTIFACT})
_LEAST_GOODS = 0.03  # of the picture; a smaller piece is a scrap, not what is for sale
_MOST_GOODS = 0.85  # of the picture; more than that and the tool has taken the ground with it


@lru_cache(maxsize=1)
def _finder() -> GoodsFinder:
    entry = Manifest.load(models_folder()).finder
    if entry is None:
        raise NotApplicable("the models hold no goods finder")
    return GoodsFinder(entry, models_folder())


def predicted_matte(rgb: np.ndarray) -> np.ndarray:
    """The matte that a saliency network draws, float32 (H, W). Raises NotApplicable if it finds no goods."""
    goods = _finder().find_in(rgb)
    if not goods.found:
        raise NotApplicable("the network finds no goods")
    return _fair(goods.mask_at(*rgb.shape[:2]))


def polygon_matte(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws) -> np.ndarray:
    """Straight cuts from corner to corner around the goods, with hard edges."""
    solid = ((predicted_matte(rgb) if mask is None else mask) > 0.5).astype(np.uint8)
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    slack = draw.uniform("slack") * float(np.sqrt(solid.size))
    rough = [cv2.approxPolyDP(each, slack, True) for each in outlines if cv2.contourArea(each) > 0.01 * solid.sum()]
    smooth = cv2.LINE_AA if draw.chance("smooth") else cv2.LINE_8
    drawn = cv2.drawContours(np.zeros_like(solid), rough, -1, 255, -1, smooth)
    return _fair(drawn.astype(np.float32) / 255)


def wand_matte(rgb: np.ndarray, draw: Draws) -> np.ndarray:
    """All but what a magic wand takes, touched at the corners and the middles of the sides: hard pixels."""
    height, width = rgb.shape[:2]
    tolerance = (draw.integer("tolerance"),) * 3
    touched, taken = rgb.copy(), np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (255 << 8)
    for x, y in [(x, y) for x in (0, width // 2, width - 1) for y in (0, height // 2, height - 1)]:
        if (x, y) != (width // 2, height // 2) and not taken[y + 1, x + 1]:
            cv2.floodFill(touched, taken, (x, y), (0, 0, 0), tolerance, tolerance, flags)
    left = (taken[1:-1, 1:-1] == 0).astype(np.uint8)
    _, marks, stats, _ = cv2.connectedComponentsWithStats(left)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if len(stats) > 1 else 0
    return _fair(((marks == largest) & (left > 0)).astype(np.float32))


def _fair(matte: np.ndarray) -> np.ndarray:
    if not _LEAST_GOODS < float((matte > 0.5).mean()) < _MOST_GOODS:
        raise NotApplicable("the tool took nearly nothing, or nearly everything")
    return matte


def _cut(rgb: np.ndarray, mask: np.ndarray | None, tool: str, draw: Draws) -> np.ndarray:
    if tool == "polygon":
        return polygon_matte(rgb, mask, draw.of("cutout.polygon"))
    if tool == "wand":
        return wand_matte(rgb, draw.of("cutout.wand"))
    return predicted_matte(rgb)


def _tight(rgb: np.ndarray, matte: np.ndarray) -> Goods:
    ys, xs = np.nonzero(matte > 0.5)
    rows, columns = slice(max(ys.min() - 4, 0), ys.max() + 5), slice(max(xs.min() - 4, 0), xs.max() + 5)
    return Goods(np.ascontiguousarray(rgb[rows, columns]), np.ascontiguousarray(matte[rows, columns]))


def _pasted(rgb: np.ndarray, matte: np.ndarray, draw: Draws, materials: Materials, name: str) -> Forgery:
    height, width = rgb.shape[:2]
    draw = draw.of("by_hand")
    put = placed(_tight(rgb, matte), height, width, draw.uniform("size"), draw)
    ground = materials.scene(draw.rng, height, width)
    pixels = match_light(put.rgb, ground, draw.uniform("matched_light")) if draw.chance("lit") else put.rgb
    if draw.chance("shadow"):
        shift = (draw.integer("shadow_x"), draw.integer("shadow_y"))
        ground = contact_shadow(ground, put.matte, draw.uniform("darkness"), shift, draw.uniform("softness"))
    edge = cv2.GaussianBlur(put.matte, (0, 0), draw.uniform("feather")) if draw.chance("feathered") else put.matte
    if not 0.01 < float(edge.mean()) < 0.9:
        raise NotApplicable("the goods fell outside the scene")
    region = cv2.dilate((edge > 0.02).astype(np.float32), np.ones((9, 9), np.uint8))
    return Forgery(blend(ground, pixels, edge), region, _CUTOUT, f"cutout.{name}", source=ground)


def predicted(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Cut by a network, pasted into another picture's scene."""
    return _pasted(rgb, _cut(rgb, mask, "predicted", draw), draw, materials, "predicted")


def polygon(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Cut with the polygon tool, pasted into another picture's scene."""
    return _pasted(rgb, _cut(rgb, mask, "polygon", draw), draw, materials, "polygon")


def wand(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Cut with the magic wand, pasted into another picture's scene."""
    return _pasted(rgb, _cut(rgb, mask, "wand", draw), draw, materials, "wand")


def white_ground(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """The same tools' goods on pure white, where they stood: a catalogue picture as the trade makes it, no offence."""
    matte = _cut(rgb, mask, draw.choice("tool"), draw)
    ground = np.full_like(rgb, 255)
    if draw.chance("shadow"):
        ground = contact_shadow(ground, matte, draw.uniform("darkness"), (0, draw.integer("drop")), 9)
    edge = cv2.GaussianBlur(cv2.erode(matte, np.ones((3, 3), np.uint8)), (0, 0), draw.uniform("feather"))
    return Forgery(blend(ground, rgb, edge), np.zeros(rgb.shape[:2], np.float32), frozenset(), "negatives.white_ground")


RECIPES = {
    "cutout.predicted": predicted,
    "cutout.polygon": polygon,
    "cutout.wand": wand,
    "negatives.white_ground": white_ground,
}
