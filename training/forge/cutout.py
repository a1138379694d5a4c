"""`cutout_artifact`: goods visibly pasted - bad mattes, old-background fringes, wrong shadows, mismatched pixels."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from training.forge.base import Forgery, Materials, NotApplicable, blend, to_uint8
from training.forge.compose import Goods, contact_shadow, cut_goods, placed
from zhentu.types import Label

_CUTOUT = frozenset({Label.CUTOUT_ARTIFACT})


def plain_ground(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """White, grey or coloured paper, flat or as a soft gradient."""
    colour = np.array([255, 255, 255]) if rng.random() < 0.5 else rng.uniform(150, 250, 3)
    ramp = np.linspace(1.0, rng.uniform(0.8, 1.0), height, dtype=np.float32)[:, None, None]
    return to_uint8(np.broadcast_to(colour, (height, width, 3)) * ramp)


def _ground(rgb: np.ndarray, rng: np.random.Generator, materials: Materials) -> np.ndarray:
    height, width = rgb.shape[:2]
    if materials.scenes and rng.random() < 0.45:
        return materials.scene(rng, height, width)
    return plain_ground(rng, height, width)


def _bad_matte(matte: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    hard = (matte > 0.5).astype(np.float32)
    radius = int(rng.integers(2, 6))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    if kind == "eroded":
        return cv2.erode(hard, kernel)
    if kind == "fringe":
        return cv2.dilate(hard, kernel)
    if kind == "jagged":
        step = int(rng.integers(3, 7))
        small = cv2.resize(hard, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_NEAREST)
        return cv2.resize(small, matte.shape[::-1], interpolation=cv2.INTER_NEAREST)
    if kind == "feathered":
        return cv2.GaussianBlur(hard, (0, 0), float(rng.uniform(4, 10)))
    outline, _ = cv2.findContours(hard.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    rough = [cv2.approxPolyDP(c, float(rng.uniform(3, 9)), True) for c in outline]  # clipped with a lasso
    return cv2.drawContours(np.zeros_like(hard), rough, -1, 1.0, -1)


def bad_matte(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, materials: Materials, config: Mapping
) -> Forgery:
    """Eroded, fringed, jagged, over-feathered or lassoed edges on another ground, mostly without a shadow."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, mask, rng, materials)
    kind = str(rng.choice(["eroded", "fringe", "jagged", "feathered", "lasso"]))
    put = placed(goods, height, width, float(rng.uniform(0.5, 0.92)), rng)
    matte = _bad_matte(put.matte, kind, rng)
    ground = _ground(rgb, rng, materials)
    if rng.random() < 0.35:
        ground = contact_shadow(ground, matte, 0.5, (int(rng.integers(-25, 26)), int(rng.integers(-25, 10))), 5)
    pixels = put.rgb
    if kind == "fringe":  # the old ground shows as a bright or dark rim
        rim = (matte - (put.matte > 0.8)).clip(0, 1)[..., None]
        pixels = to_uint8(pixels * (1 - rim) + rim * float(rng.choice([255, 235, 40])))
    forged = blend(ground, pixels, matte)
    return _checked(forged, matte, ground, "bad_matte", {"kind": kind})


def mismatch(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, materials: Materials, config: Mapping
) -> Forgery:
    """A fair matte, but noise, blur, JPEG history or resolution of the goods differ from the ground's."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, mask, rng, materials)
    kind = str(rng.choice(["noise", "blur", "jpeg", "resolution"]))
    put = placed(goods, height, width, float(rng.uniform(0.45, 0.85)), rng)
    pixels = _worse(put.rgb, kind, rng)
    ground = materials.scene(rng, height, width) if materials.scenes else rgb
    if rng.random() < 0.25:
        pixels, ground = put.rgb, _worse(ground, kind, rng)
    matte = cv2.GaussianBlur((put.matte > 0.5).astype(np.float32), (0, 0), 0.6)
    forged = blend(ground, pixels, matte)
    return _checked(forged, matte, ground, "mismatch", {"kind": kind})


def pasted(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, materials: Materials, config: Mapping
) -> Forgery:
    """A second thing pasted hard onto the genuine picture, the rest of which stays as it was."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, None if materials.cutouts else mask, rng, materials)
    put = placed(Goods(goods.rgb, goods.matte), height, width, float(rng.uniform(0.25, 0.5)), rng)
    kind = str(rng.choice(["eroded", "jagged", "feathered", "lasso", "fringe"]))
    matte = _bad_matte(put.matte, kind, rng)
    forged = blend(rgb, put.rgb, matte)
    return _checked(forged, matte, None, "pasted", {"kind": kind})


def _worse(rgb: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind == "noise":
        return to_uint8(rgb + rng.normal(0, rng.uniform(8, 20), rgb.shape))
    if kind == "blur":
        return cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(1.5, 3.5)))
    if kind == "jpeg":
        _, payload = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(8, 28))])
        return cv2.imdecode(payload, cv2.IMREAD_COLOR)
    height, width = rgb.shape[:2]
    factor = float(rng.uniform(2.5, 5))
    small = cv2.resize(rgb, (max(int(width / factor), 4), max(int(height / factor), 4)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _checked(
    forged: np.ndarray,
    matte: np.ndarray,
    ground: np.ndarray | None,
    name: str,
    parameters: Mapping[str, float | int | str],
) -> Forgery:
    if not 0.008 < float(matte.mean()) < 0.95:
        raise NotApplicable("the goods fell outside the picture")
    # The whole silhouette counts as forged: its rim shows it, and so does what is inside against what is outside.
    region = cv2.dilate((matte > 0.02).astype(np.float32), np.ones((9, 9), np.uint8))
    return Forgery(forged, region, _CUTOUT, f"cutout.{name}", parameters, ground)


RECIPES = {"cutout.bad_matte": bad_matte, "cutout.mismatch": mismatch, "cutout.pasted": pasted}
