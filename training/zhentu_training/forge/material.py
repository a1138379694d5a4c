"""`material_mismatch`: fabric, weave, gloss, colour pattern or print of the goods is replaced; their shading stays."""

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
    tile,
    to_uint8,
)
from zhentu_training.forge.draws import Draws

_LEAST_CHANGE = 4.0  # grey levels; below it nobody is misled


def _finish(rgb: np.ndarray, changed: np.ndarray, mask: np.ndarray, recipe: str) -> Forgery:
    forged = blend(rgb, changed, mask)
    if changed_share(rgb, forged, mask) < _LEAST_CHANGE:
        raise NotApplicable("the change would be invisible")
    return Forgery(forged, mask, frozenset({Category.MATERIAL_MISMATCH}), f"material.{recipe}")


def _shading(rgb: np.ndarray, sigma: float) -> np.ndarray:
    """Low-frequency luminance relative to its median, float32 (H, W): folds and light, without the weave."""
    light = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)
    smooth = cv2.bilateralFilter(cv2.GaussianBlur(light, (0, 0), sigma), 7, 25, 7)
    return smooth


def texture(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Another material's swatch inside the goods, lit by the goods' own folds."""
    mask = goods_mask(mask)
    height, width = rgb.shape[:2]
    scale = draw.uniform("scale")
    swatch = materials.texture(draw.rng)
    swatch = cv2.resize(
        swatch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    swatch = cv2.warpAffine(
        tile(swatch, height * 2, width * 2),
        cv2.getRotationMatrix2D((width, height), draw.uniform("turn"), 1.0),
        (width * 2, height * 2),
        borderMode=cv2.BORDER_REFLECT,
    )[height // 2 : height // 2 + height, width // 2 : width // 2 + width]
    lab = cv2.cvtColor(swatch, cv2.COLOR_RGB2LAB).astype(np.float32)
    shade = _shading(rgb, draw.uniform("fold_sigma"))
    inside = mask > 0.5
    keep_light, keep_colour = draw.uniform("keep_light"), draw.uniform("keep_colour")
    own = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    relief = lab[..., 0] - lab[..., 0].mean()
    lightness = shade * keep_light + relief * draw.uniform("relief")
    colour = (1 - keep_colour) * lab[..., 1:] + keep_colour * np.median(own[inside], 0)[1:]
    changed = cv2.cvtColor(to_uint8(np.dstack([lightness, colour])), cv2.COLOR_LAB2RGB)
    return _finish(rgb, changed, mask, "texture")


def _turned(height: int, width: int, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of every pixel along two axes turned by `angle` radians, (height, width) each, in pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)


def weave(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """The goods' own weave is flattened and a procedural twill, knit or leather grain is put in its place."""
    mask = goods_mask(mask)
    height, width = rgb.shape[:2]
    kind = draw.choice("kind")
    period, angle = draw.uniform("period"), float(draw.rng.uniform(0, np.pi))
    across, along = _turned(height, width, angle)
    u = across / period + 0.15 * local_noise((height, width), draw.rng, 40)
    v = along / period + 0.15 * local_noise((height, width), draw.rng, 40)
    if kind == "twill":
        grain = np.sin(2 * np.pi * (u + 0.5 * v)) * 0.7 + 0.3 * np.sin(2 * np.pi * v)
    elif kind == "knit":
        grain = np.abs(np.sin(np.pi * (u + 0.35 * np.sin(2 * np.pi * v)))) * 2 - 1
    else:
        grain = -np.abs(local_noise((height, width), draw.rng, period)) + 0.6
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    strength = draw.uniform("strength")
    lab[..., 0] = _shading(rgb, draw.uniform("fold_sigma")) + strength * grain
    changed = cv2.cvtColor(to_uint8(lab), cv2.COLOR_LAB2RGB)
    return _finish(rgb, changed, mask, "weave")


def recolour(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Colour pattern: stripes, checks or blotches of another hue over the goods, weave kept."""
    mask = goods_mask(mask)
    height, width = rgb.shape[:2]
    kind = draw.choice("kind")
    period, angle = draw.uniform("period"), float(draw.rng.uniform(0, np.pi))
    across, along = _turned(height, width, angle)
    bend = 0.2 * local_noise((height, width), draw.rng, 120)
    u, v = across / period + bend, along / period + bend
    if kind == "stripes":
        pattern = np.sin(2 * np.pi * u) > 0
    elif kind == "checks":
        pattern = (np.sin(2 * np.pi * u) > 0) ^ (np.sin(2 * np.pi * v) > 0)
    else:
        pattern = local_noise((height, width), draw.rng, period) > 0.2
    soft = cv2.GaussianBlur(pattern.astype(np.float32), (0, 0), 0.8)[..., None]
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    hue = draw.rng.uniform(0, 2 * np.pi)
    chroma, dark = draw.uniform("chroma"), draw.uniform("lightness")
    other = lab + np.array([dark, 0, 0], np.float32)
    other[..., 1:] = 128 + chroma * np.array([np.cos(hue), np.sin(hue)], np.float32)
    changed = cv2.cvtColor(to_uint8(lab * (1 - soft) + other * soft), cv2.COLOR_LAB2RGB)
    return _finish(rgb, changed, mask, "recolour")


def gloss(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Satin from cotton: highlights raised and hardened, weave smoothed; or dull from shiny."""
    mask = goods_mask(mask)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    inside = mask > 0.5
    shade = _shading(rgb, draw.uniform("fold_sigma"))
    low, high = np.percentile(shade[inside], [5, 95])
    relative = ((shade - low) / max(high - low, 8)).clip(0, 1.2)
    shiny = draw.chance("shiny")
    strength = draw.uniform("strength")
    if shiny:
        power = draw.uniform("power")
        lab[..., 0] = shade * draw.uniform("ground") + strength * relative**power
        lab[..., 1:] = 128 + (lab[..., 1:] - 128) * (1 - 0.4 * relative[..., None] ** power)
    else:
        lab[..., 0] = np.median(shade[inside]) + 0.35 * (lab[..., 0] - np.median(shade[inside]))
    changed = cv2.cvtColor(to_uint8(lab), cv2.COLOR_LAB2RGB)
    return _finish(rgb, changed, mask, "gloss")


def printed(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """A print is added on the goods (bent and lit by their folds) or an existing area is painted out."""
    mask = goods_mask(mask)
    height, width = rgb.shape[:2]
    ys, xs = np.nonzero(mask > 0.9)
    if len(ys) < 400:
        raise NotApplicable("the goods are too small for a print")
    pick = int(draw.rng.integers(len(ys)))
    radius = draw.uniform("radius") * np.sqrt(len(ys))
    spot = np.zeros((height, width), np.float32)
    centre = (int(xs[pick]), int(ys[pick]))
    axes = (max(int(radius), 6), max(int(radius * draw.uniform("aspect")), 6))
    cv2.ellipse(spot, centre, axes, draw.uniform("turn"), 0, 360, 1.0, -1)
    region = cv2.GaussianBlur(spot, (0, 0), 1.2) * mask
    if draw.chance("removed"):
        painted = cv2.inpaint(rgb, (spot * 255).astype(np.uint8), 5, cv2.INPAINT_TELEA)
        return _finish(rgb, painted, region, "print")
    picture = materials.scene(draw.rng, height, width) if materials.scenes else materials.texture(draw.rng)
    picture = cv2.resize(picture, (2 * axes[0], 2 * axes[1]), interpolation=cv2.INTER_AREA)
    canvas = np.zeros_like(rgb)
    x0, y0 = centre[0] - axes[0], centre[1] - axes[1]
    cx0, cy0, cx1, cy1 = max(x0, 0), max(y0, 0), min(x0 + 2 * axes[0], width), min(y0 + 2 * axes[1], height)
    canvas[cy0:cy1, cx0:cx1] = picture[cy0 - y0 : cy1 - y0, cx0 - x0 : cx1 - x0]
    shade = _shading(rgb, 3.0) / max(float(np.median(_shading(rgb, 3.0)[mask > 0.5])), 1)
    lit = to_uint8(canvas * shade[..., None].clip(0.3, 1.5))
    return _finish(rgb, lit, region * draw.uniform("opacity"), "print")


def rescaled(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """The goods' own weave or pattern at another scale: a finer knit, larger dots."""
    mask = goods_mask(mask)
    height, width = rgb.shape[:2]
    inside = cv2.erode((mask > 0.5).astype(np.uint8), np.ones((5, 5), np.uint8))
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    reach = int(distance.max() * 0.7)
    if reach < 24:
        raise NotApplicable("no patch of the goods is large enough")
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    patch = rgb[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach]
    scale = draw.either("scale")
    patch = cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    lab = cv2.cvtColor(tile(patch, height, width), cv2.COLOR_RGB2LAB).astype(np.float32)
    relief = lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), 12)
    lab[..., 0] = _shading(rgb, 4.0) + relief * draw.uniform("relief")
    changed = cv2.cvtColor(to_uint8(lab), cv2.COLOR_LAB2RGB)
    return _finish(rgb, changed, mask, "rescaled")


RECIPES = {
    "material.texture": texture,
    "material.weave": weave,
    "material.recolour": recolour,
    "material.gloss": gloss,
    "material.print": printed,
    "material.rescaled": rescaled,
}
