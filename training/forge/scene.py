"""`scene_distortion`: goods in a scene they were never in - wrong size, tilt, light or colour - or geometry bent."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from training.forge.base import Forgery, Materials, NotApplicable, blend, changed_share, goods_mask, local_noise
from training.forge.compose import colour_cast, contact_shadow, cut_goods, match_light, placed
from zhentu.types import Label

_SCENE = frozenset({Label.SCENE_DISTORTION})


def transplanted(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, materials: Materials, config: Mapping
) -> Forgery:
    """Goods well cut out and well blended, but at an impossible size, tilt or light."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, mask, rng, materials)
    ground = materials.scene(rng, height, width)
    wrong = str(rng.choice(["size", "tilt", "light", "colour"]))
    share = float(
        rng.choice([rng.uniform(0.15, 0.3), rng.uniform(0.85, 1.1)]) if wrong == "size" else rng.uniform(0.4, 0.75)
    )
    tilt = float(rng.choice([-1, 1]) * rng.uniform(18, 60)) if wrong == "tilt" else float(rng.uniform(-4, 4))
    put = placed(goods, height, width, share, rng, tilt)
    lit = match_light(put.rgb, ground, 0.0 if wrong == "light" else float(rng.uniform(0.2, 0.6)))
    if wrong == "colour":
        lit = colour_cast(lit, rng, float(rng.uniform(0.5, 1.0)))
    if wrong == "light":
        ramp = np.linspace(0.45, 1.4, width, dtype=np.float32)[None, :, None]
        lit = (lit * (ramp if rng.random() < 0.5 else ramp[:, ::-1])).clip(0, 255).astype(np.uint8)
    ground = contact_shadow(ground, put.matte, float(rng.uniform(0.1, 0.4)), (int(rng.integers(-8, 9)), 6), 8)
    soft = cv2.GaussianBlur(put.matte, (0, 0), 0.8)
    forged = blend(ground, lit, soft)
    if soft.mean() < 0.01:
        raise NotApplicable("the goods fell outside the scene")
    return Forgery(forged, soft, _SCENE, "scene.transplanted", {"wrong": wrong, "share": share, "tilt": tilt}, ground)


def bent(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, materials: Materials, config: Mapping
) -> Forgery:
    """Geometry warped: a waist pinched, a leg stretched, straight lines made to flow."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    kind = str(rng.choice(["bulge", "swirl", "wave"]))
    cx, cy = width * rng.uniform(0.3, 0.7), height * rng.uniform(0.3, 0.7)
    radius = min(height, width) * rng.uniform(0.22, 0.45)
    dx, dy = x - cx, y - cy
    near = (1 - np.sqrt(dx**2 + dy**2) / radius).clip(0, 1).astype(np.float32)
    strength = float(rng.uniform(0.35, 0.8))
    if kind == "bulge":
        pull = float(rng.choice([-1, 1])) * strength * near**2
        map_x, map_y = x - dx * pull, y - dy * pull * float(rng.uniform(0.2, 1.0))
    elif kind == "swirl":
        angle = strength * 2.2 * near**2
        map_x = cx + dx * np.cos(angle) - dy * np.sin(angle)
        map_y = cy + dx * np.sin(angle) + dy * np.cos(angle)
    else:
        amplitude = 0.018 * max(height, width) * strength * 2
        soft = near**0.5
        map_x = x + amplitude * soft * local_noise((height, width), rng, 45)
        map_y = y + amplitude * soft * local_noise((height, width), rng, 45)
    forged = cv2.remap(
        rgb, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    region = (near > 0.02).astype(np.float32)
    if changed_share(rgb, forged, region) < 5:
        raise NotApplicable("nothing there to bend")
    forged = blend(rgb, forged, region)
    return Forgery(forged, region, _SCENE, "scene.bent", {"kind": kind, "strength": strength})


def new_ground(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, materials: Materials, config: Mapping
) -> Forgery:
    """The goods keep their place and every pixel; another world stands behind them."""
    mask = goods_mask(mask)
    height, width = rgb.shape[:2]
    ground = materials.scene(rng, height, width)
    blur = float(rng.choice([0, rng.uniform(1.5, 6)]))
    if blur:
        ground = cv2.GaussianBlur(ground, (0, 0), blur)
    if rng.random() < 0.4:
        ground = colour_cast(ground, rng, float(rng.uniform(0.3, 0.8)))
    seam = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.6, 2)))
    forged = blend(rgb, ground, 1 - seam)
    return Forgery(forged, 1 - mask, _SCENE, "scene.new_ground", {"blur": blur})


def floating(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, materials: Materials, config: Mapping
) -> Forgery:
    """The goods appear again, in the air or through themselves, without support or shadow."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, mask, rng, materials)
    put = placed(goods, height, width, float(rng.uniform(0.2, 0.45)), rng, float(rng.uniform(-25, 25)))
    lift = -int(rng.uniform(0.2, 0.5) * height)
    shift = np.array([[1, 0, 0], [0, 1, lift]], np.float32)
    matte = cv2.warpAffine(put.matte, shift, (width, height))
    above = cv2.warpAffine(put.rgb, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
    if matte.mean() < 0.005:
        raise NotApplicable("the goods fell outside the picture")
    forged = blend(rgb, match_light(above, rgb, 0.3), cv2.GaussianBlur(matte, (0, 0), 0.7))
    return Forgery(forged, matte, _SCENE, "scene.floating", {"lift": lift})


RECIPES = {
    "scene.transplanted": transplanted,
    "scene.bent": bent,
    "scene.new_ground": new_ground,
    "scene.floating": floating,
}
