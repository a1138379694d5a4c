"""Pairs of product views: the same goods photographed twice (match), or goods that are not the same (mismatch).

Goods come with their mattes: given alpha channels, or genuine pictures whose foreground is found with certainty. A view
places them on another ground, at another size, angle and light, and sends them through the upload chain, so that only
material, texture, pattern, colour and construction are left to tell a match from a mismatch. Mismatches are the same
goods re-forged by the recipes of `material`, the same goods in another colour, and the most similar other goods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from zhentu.errors import PictureError
from zhentu.intake.decode import decode
from zhentu_training.augment import Chain, ChainSpec
from zhentu_training.forge.base import Materials, NotApplicable, cover
from zhentu_training.forge.masks import foreground_mask
from zhentu_training.forge.registry import RECIPES, forge

CHAIN = ChainSpec(zoom=(0.8, 1.0), long_side=(256, 640), tone=0.6, blot=0.15)
MATERIAL = tuple(name for name in RECIPES if name.startswith("material."))
KINDS = ("match", *MATERIAL, "recoloured", "look-alike")
_SIDE = 384  # pixels of the canvas
_LARGEST_GOODS = 448


@dataclass(frozen=True, slots=True, eq=False)
class Goods:
    """One product: uint8 RGB (H, W, 3), matte float32 (H, W), where it is from, and the split it belongs to."""

    name: str
    rgb: np.ndarray
    matte: np.ndarray
    split: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Indices into a list of views: the picture, its reference, what the picture is, and the product's split."""

    picture: int
    reference: int
    kind: str
    split: str
    product: str

    @property
    def mismatch(self) -> bool:
        """Whether the picture shows other goods than the reference."""
        return self.kind != "match"


def goods_of(path: Path, split: str) -> Goods | None:
    """Goods with their matte from a picture file, None where the matte cannot be trusted."""
    rgba = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if rgba is not None and rgba.ndim == 3 and rgba.shape[2] == 4:
        rgb, matte = cv2.cvtColor(rgba, cv2.COLOR_BGRA2RGB), rgba[..., 3].astype(np.float32) / 255
    else:
        try:
            rgb = decode(path.read_bytes()).rgb
        except PictureError:
            return None
        found = foreground_mask(rgb)
        if found is None:
            return None
        matte = found
    ys, xs = np.nonzero(matte > 0.5)
    if len(ys) < 2500:
        return None
    box = np.s_[max(ys.min() - 4, 0) : ys.max() + 5, max(xs.min() - 4, 0) : xs.max() + 5]
    rgb, matte = np.ascontiguousarray(rgb[box]), np.ascontiguousarray(matte[box])
    if min(rgb.shape[:2]) < 96:
        return None
    scale = min(_LARGEST_GOODS / max(rgb.shape[:2]), 1.0)
    if scale < 1:
        size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
        rgb, matte = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (rgb, matte))
    return Goods(path.stem, rgb, matte, split)


def view(rgb: np.ndarray, matte: np.ndarray, scenes: Sequence[Path], rng: np.random.Generator) -> np.ndarray:
    """The goods as somebody else would photograph them, uint8 RGB, through the upload chain."""
    height, width = rgb.shape[:2]
    side = _SIDE
    fill = rng.uniform(0.5, 0.95) * side / max(height, width)
    turn, mirrored = rng.normal(0, 6), rng.random() < 0.15
    centre = np.array([width / 2, height / 2])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - centre
    if mirrored:
        corners[:, 0] *= -1
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    corners = corners @ np.array([[c, s], [-s, c]]).T * fill
    corners *= 1 + rng.uniform(-0.06, 0.06, (4, 2))  # a little perspective
    free = side / 2 - np.abs(corners).max(0)
    corners += side / 2 + np.clip(rng.uniform(-0.4, 0.4, 2) * side, -np.maximum(free, 0), np.maximum(free, 0))
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    warp = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    placed = cv2.warpPerspective(rgb, warp, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpPerspective(matte, warp, (side, side))
    lit = placed.astype(np.float32) * _light(side, rng)
    soft = np.clip(alpha, 0, 1)[..., None]
    picture = _ground(scenes, side, rng) * (1 - soft) + lit * soft
    chained, _ = Chain(CHAIN, int(rng.integers(2**31)))(picture.round().clip(0, 255).astype(np.uint8), None)
    return np.ascontiguousarray(chained)


def _light(side: int, rng: np.random.Generator) -> np.ndarray:
    """Exposure, white balance and a soft fall-off, as a factor (side, side, 3)."""
    slope = np.linspace(-0.5, 0.5, side)
    fall = 1 + rng.uniform(-0.25, 0.25) * slope[:, None] + rng.uniform(-0.25, 0.25) * slope[None]
    return fall[..., None] * rng.uniform(0.82, 1.12) * rng.uniform(0.95, 1.05, 3)


def _ground(scenes: Sequence[Path], side: int, rng: np.random.Generator) -> np.ndarray:
    if scenes and rng.random() < 0.5:
        scene = cover(decode(scenes[int(rng.integers(len(scenes)))].read_bytes()).rgb, side, side)
        return cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.3, 4)).astype(np.float32)
    tone = np.full(3, 255.0) if rng.random() < 0.5 else rng.uniform(120, 250) * rng.uniform(0.9, 1.05, 3)
    return np.broadcast_to(tone.clip(0, 255), (side, side, 3)).astype(np.float32)


def recoloured(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same goods in another colour: hue turned far, or, for grey goods, a colour given."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    if np.median(hsv[..., 1]) < 40:
        hue = rng.uniform(0, 180)
        hsv[..., 0], hsv[..., 1] = hue, np.maximum(hsv[..., 1], rng.uniform(70, 150))
        hsv[..., 2] = hsv[..., 2] * rng.uniform(0.55, 0.9)
    else:
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(25, 155)) % 180
    return cv2.cvtColor(hsv.round().clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)


def reforged(goods: Goods, kind: str, materials: Materials, rng: np.random.Generator) -> np.ndarray | None:
    """The goods' pixels after a recipe of `material` or a change of colour; None where the recipe does not fit."""
    if kind == "recoloured":
        return recoloured(goods.rgb, rng)
    try:
        return forge(kind, goods.rgb, int(rng.integers(2**31)), materials, (goods.matte > 0.5).astype(np.float32)).rgb
    except NotApplicable:
        return None


def make_pairs(
    goods: Sequence[Goods], neighbours: Sequence[int], materials: Materials, seed: int
) -> tuple[list[np.ndarray], list[Pair]]:
    """Views and pairs of all goods: two matches, two re-forged, one recoloured and one look-alike each.

    neighbours: for each product the index of the most similar other product of its split.
    """
    views: list[np.ndarray] = []
    pairs: list[Pair] = []

    def add(rgb: np.ndarray, matte: np.ndarray, rng: np.random.Generator) -> int:
        views.append(view(rgb, matte, materials.scenes, rng))
        return len(views) - 1

    for index, each in enumerate(goods):
        rng = np.random.default_rng([seed, index])
        reference = add(each.rgb, each.matte, rng)
        made = [("match", each.rgb, each.matte), ("match", each.rgb, each.matte)]
        for kind in (*rng.choice(MATERIAL, 2, replace=False), "recoloured"):
            forged = reforged(each, str(kind), materials, rng)
            if forged is not None:
                made.append((str(kind), forged, each.matte))
        other = goods[neighbours[index]]
        made.append(("look-alike", other.rgb, other.matte))
        for kind, rgb, matte in made:
            pairs.append(Pair(add(rgb, matte, rng), reference, kind, each.split, each.name))
    return views, pairs
