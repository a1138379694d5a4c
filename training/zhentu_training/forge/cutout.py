"""`cutout_artifact`: goods visibly pasted - bad mattes, old-background fringes, wrong shadows, mismatched pixels."""

from __future__ import annotations

import cv2
import numpy as np

from zhentu.types import Category
from zhentu_training.forge.base import Forgery, Materials, NotApplicable, blend, to_uint8
from zhentu_training.forge.compose import contact_shadow, cut_goods, placed
from zhentu_training.forge.draws import Draws

_CUTOUT = frozenset({Category.CUTOUT_ARTIFACT})


def plain_ground(draw: Draws, height: int, width: int) -> np.ndarray:
    """White, grey or coloured paper, flat or as a soft gradient."""
    draw = draw.of("cutout.ground")
    colour = np.array([255] * 3 if draw.chance("white") else [draw.uniform("grey") for _ in range(3)])
    ramp = np.linspace(1.0, draw.uniform("falloff"), height, dtype=np.float32)[:, None, None]
    return to_uint8(np.broadcast_to(colour, (height, width, 3)) * ramp)


def _ground(rgb: np.ndarray, draw: Draws, materials: Materials) -> np.ndarray:
    height, width = rgb.shape[:2]
    if materials.scenes and draw.of("cutout.ground").chance("scene"):
        return materials.scene(draw.rng, height, width)
    return plain_ground(draw, height, width)


def _bad_matte(matte: np.ndarray, kind: str, draw: Draws) -> np.ndarray:
    draw = draw.of("cutout.matte")
    hard = (matte > 0.5).astype(np.float32)
    radius = draw.integer("radius")
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    if kind == "eroded":
        return cv2.erode(hard, kernel)
    if kind == "fringe":
        return cv2.dilate(hard, kernel)
    if kind == "jagged":
        step = draw.integer("step")
        small = cv2.resize(hard, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_NEAREST)
        return cv2.resize(small, matte.shape[::-1], interpolation=cv2.INTER_NEAREST)
    if kind == "feathered":
        return cv2.GaussianBlur(hard, (0, 0), draw.uniform("feather"))
    outline, _ = cv2.findContours(hard.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    slack = draw.uniform("lasso")
    rough = [cv2.approxPolyDP(c, slack, True) for c in outline]  # clipped with a lasso
    return cv2.drawContours(np.zeros_like(hard), rough, -1, 1.0, -1)


def bad_matte(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Eroded, fringed, jagged, over-feathered or lassoed edges on another ground, mostly without a shadow."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, mask, draw, materials)
    kind = draw.choice("kind")
    put = placed(goods, height, width, draw.uniform("size"), draw)
    matte = _bad_matte(put.matte, kind, draw)
    ground = _ground(rgb, draw, materials)
    if draw.chance("shadow"):
        ground = contact_shadow(ground, matte, 0.5, (draw.integer("shadow_x"), draw.integer("shadow_y")), 5)
    pixels = put.rgb
    if kind == "fringe":  # the old ground shows as a bright or dark rim
        rim = (matte - (put.matte > 0.8)).clip(0, 1)[..., None]
        pixels = to_uint8(pixels * (1 - rim) + rim * float(draw.choice("rim")))
    forged = blend(ground, pixels, matte)
    return _checked(forged, matte, ground, "bad_matte")


def mismatch(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """A fair matte, but noise, blur, JPEG history or resolution of the goods differ from the ground's."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, mask, draw, materials)
    kind = draw.choice("kind")
    put = placed(goods, height, width, draw.uniform("size"), draw)
    pixels = _worse(put.rgb, kind, draw)
    ground = materials.scene(draw.rng, height, width) if materials.scenes else rgb
    if draw.chance("ground_instead"):
        pixels, ground = put.rgb, _worse(ground, kind, draw)
    matte = cv2.GaussianBlur((put.matte > 0.5).astype(np.float32), (0, 0), 0.6)
    forged = blend(ground, pixels, matte)
    return _checked(forged, matte, ground, "mismatch")


def pasted(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """A second thing pasted hard onto the genuine picture, the rest of which stays as it was."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, None if materials.cutouts else mask, draw, materials)
    put = placed(goods, height, width, draw.uniform("size"), draw)
    kind = draw.choice("kind")
    matte = _bad_matte(put.matte, kind, draw)
    forged = blend(rgb, put.rgb, matte)
    return _checked(forged, matte, None, "pasted")


def _worse(rgb: np.ndarray, kind: str, draw: Draws) -> np.ndarray:
    if kind == "noise":
        return to_uint8(rgb + draw.rng.normal(0, draw.uniform("noise"), rgb.shape))
    if kind == "blur":
        return cv2.GaussianBlur(rgb, (0, 0), draw.uniform("blur"))
    if kind == "jpeg":
        _, payload = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, draw.integer("quality")])
        return np.asarray(cv2.imdecode(payload, cv2.IMREAD_COLOR))
    height, width = rgb.shape[:2]
    factor = draw.uniform("factor")
    small = cv2.resize(rgb, (max(int(width / factor), 4), max(int(height / factor), 4)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _checked(
    forged: np.ndarray,
    matte: np.ndarray,
    ground: np.ndarray | None,
    name: str,
) -> Forgery:
    if not 0.008 < float(matte.mean()) < 0.95:
        raise NotApplicable("the goods fell outside the picture")
    # The whole silhouette counts as forged: its rim shows it, and so does what is inside against what is outside.
    region = cv2.dilate((matte > 0.02).astype(np.float32), np.ones((9, 9), np.uint8))
    return Forgery(forged, region, _CUTOUT, f"cutout.{name}", source=ground)


RECIPES = {"cutout.bad_matte": bad_matte, "cutout.mismatch": mismatch, "cutout.pasted": pasted}
