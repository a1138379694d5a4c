"""Pictures of goods made from one picture: seen again by somebody else (match), or altered (mismatch).

Goods come with their mattes: given alpha channels, or genuine pictures whose goods the finder is sure of. A view places
them on a ground, at a size, angle and light, and sends them through the upload chain, so that only material, texture,
pattern, colour and construction are left to tell a match from a mismatch. Half of the pictures keep the framing of the
first one: that is what an altered picture of the same goods looks like, and an honest copy of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from zhentu.detect.goods import GoodsFinder
from zhentu.errors import PictureError
from zhentu.intake.decode import decode
from zhentu_training.augment import Chain, ChainSpec
from zhentu_training.forge.base import Materials, NotApplicable, cover
from zhentu_training.forge.registry import RECIPES, forge
from zhentu_training.forge.upscalers import installed, shrink_and_restore

# No tone in the chain: it would turn one picture in twenty grey, which is another colour.
CHAIN = ChainSpec(zoom=(0.85, 1.0), long_side=(320, 800), tone=0.0, blot=0.1, flip=0.1)
MATERIAL = tuple(name for name in RECIPES if name.startswith("material."))
ALTERED = (*MATERIAL, "recoloured", "construction", "reinvented")
_SIDE = 640  # pixels of a view
_LARGEST_GOODS = 640
_SURE = 0.9  # of the finder, where its mask is taken for the truth


@dataclass(frozen=True, slots=True, eq=False)
class Matted:
    """One product: uint8 RGB (H, W, 3) and matte float32 (H, W)."""

    rgb: np.ndarray
    matte: np.ndarray


@dataclass(frozen=True, slots=True)
class Framing:
    """Where a view puts the goods: seed of placement and ground. The same framing is the same photograph."""

    seed: int


def matted(path: Path, finder: GoodsFinder) -> Matted | None:
    """Goods with their matte from a picture file, None if the matte cannot be trusted."""
    rgba = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if rgba is not None and rgba.ndim == 3 and rgba.shape[2] == 4:
        rgb, matte = np.asarray(cv2.cvtColor(rgba, cv2.COLOR_BGRA2RGB)), np.asarray(rgba[..., 3] / np.float32(255))
    else:
        try:
            rgb = decode(path.read_bytes()).rgb
        except PictureError:
            return None
        goods = finder.find_in(rgb)
        if not goods.found or goods.sureness < _SURE:
            return None
        matte = goods.mask_at(*rgb.shape[:2])
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
        rgb, matte = (np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA)) for each in (rgb, matte))
    return Matted(rgb, matte)


def view(goods: Matted, framing: Framing, scenes: Sequence[Path], rng: np.random.Generator) -> np.ndarray:
    """The goods as photographed in that framing, uint8 RGB, through an upload chain drawn from `rng`."""
    own = np.random.default_rng(framing.seed)
    height, width = goods.rgb.shape[:2]
    fill = own.uniform(0.5, 0.95) * _SIDE / max(height, width)
    turn, mirrored = own.normal(0, 6), own.random() < 0.1
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - [width / 2, height / 2]
    if mirrored:
        corners[:, 0] *= -1
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    corners = corners @ np.array([[c, s], [-s, c]]).T * fill
    corners *= 1 + own.uniform(-0.06, 0.06, (4, 2))  # a little perspective
    free = _SIDE / 2 - np.abs(corners).max(0)
    corners += _SIDE / 2 + np.clip(own.uniform(-0.4, 0.4, 2) * _SIDE, -np.maximum(free, 0), np.maximum(free, 0))
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    warp = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    shrunk = fill < 1
    rgb = cv2.GaussianBlur(goods.rgb, (0, 0), 0.35 / fill) if shrunk else goods.rgb  # warps do not average
    placed = cv2.warpPerspective(rgb, warp, (_SIDE, _SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    soft = np.clip(cv2.warpPerspective(goods.matte, warp, (_SIDE, _SIDE)), 0, 1)[..., None]
    ground = _ground(scenes, _SIDE, own)
    lamp, camera = _fall(_SIDE, own), _white_balance(own)
    if own.random() < 0.3:  # goods and ground put together: the camera's cast is the goods' alone
        picture = ground * (1 - soft) + placed.astype(np.float32) * lamp * camera * soft
    else:
        picture = (ground * (1 - soft) + placed.astype(np.float32) * lamp * soft) * camera
    # A copy of the same photograph is never the same pixels: a little exposure and gamma of its own.
    toned = 255 * (picture / 255).clip(0, 1) ** rng.uniform(0.9, 1.1) * rng.uniform(0.95, 1.04)
    chained, _ = Chain(CHAIN, int(rng.integers(2**31)))(toned.round().clip(0, 255).astype(np.uint8), None)
    return np.ascontiguousarray(chained)


def _fall(side: int, rng: np.random.Generator) -> np.ndarray:
    """Exposure and a soft fall-off, as a factor (side, side, 1)."""
    slope = np.linspace(-0.5, 0.5, side)
    fall = 1 + rng.uniform(-0.25, 0.25) * slope[:, None] + rng.uniform(-0.25, 0.25) * slope[None]
    return fall[..., None] * rng.uniform(0.82, 1.1)


def _white_balance(rng: np.random.Generator) -> np.ndarray:
    """Gains (3,): lamps and daylight differ from blue to red, hardly in green."""
    warm, green = rng.normal(0, 0.05), rng.normal(0, 0.012)
    return np.array([1 + warm, 1 + green, 1 - warm])


def _ground(scenes: Sequence[Path], side: int, rng: np.random.Generator) -> np.ndarray:
    if scenes and rng.random() < 0.5:
        scene = cover(decode(scenes[int(rng.integers(len(scenes)))].read_bytes()).rgb, side, side)
        return cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.3, 4)).astype(np.float32)
    tone = np.full(3, 255.0) if rng.random() < 0.5 else rng.uniform(120, 250) * rng.uniform(0.95, 1.05, 3)
    return np.broadcast_to(tone.clip(0, 255), (side, side, 3)).astype(np.float32)


def recoloured(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same goods in another colour: hue turned far, or, for grey goods, a colour given or their lightness moved."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    if np.median(hsv[..., 1]) < 40:
        hsv[..., 0], hsv[..., 1] = rng.uniform(0, 180), np.maximum(hsv[..., 1], rng.uniform(60, 150))
        hsv[..., 2] = hsv[..., 2] * rng.uniform(0.55, 0.95)
    elif rng.random() < 0.2:
        hsv[..., 1] *= rng.uniform(0.0, 0.3)
    else:
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(20, 160)) % 180
        hsv[..., 2] *= rng.uniform(0.7, 1.15)
    return cv2.cvtColor(hsv.round().clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)


def reconstructed(goods: Matted, rng: np.random.Generator) -> Matted:
    """Another construction: one part longer or wider, or a detail of the goods once more elsewhere on them."""
    height, width = goods.rgb.shape[:2]
    if rng.random() < 0.5:
        across = rng.random() < 0.5
        length = width if across else height
        at, factor = rng.uniform(0.3, 0.7), rng.uniform(1.4, 2.0)
        edge = at * length
        long = round(edge + (length - edge) * factor)
        axis = np.arange(long, dtype=np.float32)
        source = np.where(axis < edge, axis, edge + (axis - edge) / factor)
        x, y = np.meshgrid(source, np.arange(height)) if across else np.meshgrid(np.arange(width), source)
        maps = x.astype(np.float32), y.astype(np.float32)
        return Matted(*(cv2.remap(each, *maps, cv2.INTER_LINEAR) for each in (goods.rgb, goods.matte)))
    inside = cv2.erode((goods.matte > 0.9).astype(np.uint8), np.ones((9, 9), np.uint8))
    edges = cv2.boxFilter(np.abs(cv2.Laplacian(cv2.cvtColor(goods.rgb, cv2.COLOR_RGB2GRAY), cv2.CV_32F)), -1, (31, 31))
    ys, xs = np.nonzero(inside)
    if len(ys) < 800:
        raise NotApplicable("the goods are too small for another detail")
    radius = max(int(rng.uniform(0.09, 0.16) * np.sqrt(len(ys))), 10)
    best = np.argsort(-edges[ys, xs])[: max(len(ys) // 20, 1)]
    start, rgb = rng.choice(best), goods.rgb.copy()
    for _ in range(int(rng.integers(1, 4))):
        goal = int(rng.integers(len(ys)))
        spot = np.zeros((height, width), np.float32)
        cv2.circle(spot, (int(xs[goal]), int(ys[goal])), radius, 1.0, -1)
        soft = (cv2.GaussianBlur(spot, (0, 0), 2) * (goods.matte > 0.5))[..., None]
        moved = np.roll(goods.rgb, (int(ys[goal] - ys[start]), int(xs[goal] - xs[start])), (0, 1))
        rgb = (rgb * (1 - soft) + moved * soft).round().astype(np.uint8)
    return Matted(rgb, goods.matte)


def reinvented(goods: Matted, rng: np.random.Generator) -> np.ndarray:
    """Shrunk and restored by an up-scaling network: weave and print come back invented."""
    networks = [name for name in installed() if name in ("x4anime", "animevideo", "cugan", "waifu2x")]
    if not networks:
        raise NotApplicable("no up-scaling network is installed")
    shrunk = cv2.resize(goods.rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    restored = shrink_and_restore(shrunk, str(rng.choice(networks)), rng.uniform(2.5, 4))
    return cv2.resize(restored, goods.rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def altered(goods: Matted, kind: str, materials: Materials, rng: np.random.Generator) -> Matted | None:
    """The goods after one of ALTERED, None if it does not fit them."""
    try:
        if kind == "recoloured":
            return Matted(recoloured(goods.rgb, rng), goods.matte)
        if kind == "construction":
            return reconstructed(goods, rng)
        if kind == "reinvented":
            return Matted(reinvented(goods, rng), goods.matte)
        mask = (goods.matte > 0.5).astype(np.float32)
        return Matted(forge(kind, goods.rgb, int(rng.integers(2**31)), materials, mask).rgb, goods.matte)
    except NotApplicable:
        return None
