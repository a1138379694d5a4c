"""`scene_distortion`: goods in a scene they were never in - wrong size, tilt, light or colour - or geometry bent."""

from __future__ import annotations

import cv2
import numpy as np

from zhentu.types import Category
from zhentu_training.forge.base import (
    Forgery,
    Materials,
    NotApplicable,
    blend,
    changed_share,
    goods_mask,
    local_noise,
)
from zhentu_training.forge.compose import colour_cast, contact_shadow, cut_goods, match_light, placed
from zhentu_training.forge.draws import Draws

_SCENE = frozenset({Category.SCENE_DISTORTION})


def transplanted(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Goods well cut out and well blended, but at an impossible size, tilt or light."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, mask, draw, materials)
    ground = materials.scene(draw.rng, height, width)
    wrong = draw.choice("wrong")
    share = draw.either("wrong_size") if wrong == "size" else draw.uniform("size")
    tilt = draw.sign() * draw.uniform("wrong_tilt") if wrong == "tilt" else draw.uniform("tilt")
    put = placed(goods, height, width, share, draw, tilt)
    lit = match_light(put.rgb, ground, 0.0 if wrong == "light" else draw.uniform("matched_light"))
    if wrong == "colour":
        lit = colour_cast(lit, draw.sign() * draw.uniform("cast"))
    if wrong == "light":
        ramp = np.linspace(0.45, 1.4, width, dtype=np.float32)[None, :, None]
        lit = (lit * ramp[:, :: draw.sign()]).clip(0, 255).astype(np.uint8)
    ground = contact_shadow(ground, put.matte, draw.uniform("shadow"), (draw.integer("shadow_shift"), 6), 8)
    soft = cv2.GaussianBlur(put.matte, (0, 0), 0.8)
    forged = blend(ground, lit, soft)
    if soft.mean() < 0.01:
        raise NotApplicable("the goods fell outside the scene")
    return Forgery(forged, soft, _SCENE, "scene.transplanted", source=ground)


def bent(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Geometry warped: a waist pinched, a leg stretched, straight lines made to flow."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    kind = draw.choice("kind")
    cx, cy = width * draw.rng.uniform(0.3, 0.7), height * draw.rng.uniform(0.3, 0.7)
    radius = min(height, width) * draw.uniform("radius")
    dx, dy = x - cx, y - cy
    near = (1 - np.sqrt(dx**2 + dy**2) / radius).clip(0, 1).astype(np.float32)
    strength = draw.uniform("strength")
    if kind == "bulge":
        pull = draw.sign() * strength * near**2
        map_x, map_y = x - dx * pull, y - dy * pull * draw.uniform("upright")
    elif kind == "swirl":
        angle = strength * 2.2 * near**2
        map_x = cx + dx * np.cos(angle) - dy * np.sin(angle)
        map_y = cy + dx * np.sin(angle) + dy * np.cos(angle)
    else:
        amplitude = 0.018 * max(height, width) * strength * 2
        soft = near**0.5
        map_x = x + amplitude * soft * local_noise((height, width), draw.rng, 45)
        map_y = y + amplitude * soft * local_noise((height, width), draw.rng, 45)
    forged = cv2.remap(
        rgb, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    region = (near > 0.02).astype(np.float32)
    if changed_share(rgb, forged, region) < 5:
        raise NotApplicable("there is nothing to bend")
    forged = blend(rgb, forged, region)
    return Forgery(forged, region, _SCENE, "scene.bent")


def new_ground(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """The goods keep their place and every pixel; the scene behind them is replaced."""
    mask = goods_mask(mask)
    height, width = rgb.shape[:2]
    ground = materials.scene(draw.rng, height, width)
    if draw.chance("out_of_focus"):
        ground = cv2.GaussianBlur(ground, (0, 0), draw.uniform("blur"))
    if draw.chance("cast_share"):
        ground = colour_cast(ground, draw.sign() * draw.uniform("cast"))
    seam = cv2.GaussianBlur(mask, (0, 0), draw.uniform("seam"))
    forged = blend(rgb, ground, 1 - seam)
    return Forgery(forged, 1 - mask, _SCENE, "scene.new_ground")


def floating(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """The goods appear again, in the air or through themselves, without support or shadow."""
    height, width = rgb.shape[:2]
    goods = cut_goods(rgb, mask, draw, materials)
    put = placed(goods, height, width, draw.uniform("size"), draw, draw.uniform("tilt"))
    lift = -int(draw.uniform("lift") * height)
    shift = np.array([[1, 0, 0], [0, 1, lift]], np.float32)
    matte = cv2.warpAffine(put.matte, shift, (width, height))
    above = cv2.warpAffine(put.rgb, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
    if matte.mean() < 0.005:
        raise NotApplicable("the goods fell outside the picture")
    forged = blend(rgb, match_light(above, rgb, 0.3), cv2.GaussianBlur(matte, (0, 0), 0.7))
    return Forgery(forged, matte, _SCENE, "scene.floating")


RECIPES = {
    "scene.transplanted": transplanted,
    "scene.bent": bent,
    "scene.new_ground": new_ground,
    "scene.floating": floating,
}
