"""`ai_generated`: the picture, or a region of it, goes through a real generator's network and comes back.

Content stays, so only the generator's trace can tell the forgery from its source. In part of the draws the original
pixels are put back outside a region, so that the detector must look at the edit itself and not at a trace everywhere.
"""

from __future__ import annotations

import cv2
import numpy as np

from zhentu.types import Category
from zhentu_training.forge.base import Forgery, Materials, NotApplicable
from zhentu_training.forge.draws import Draws
from zhentu_training.forge.taef2 import load_taef2
from zhentu_training.forge.tiny import load_tiny, round_trip
from zhentu_training.forge.upscalers import installed, shrink_and_restore


def autoencoder(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Latent round trip through FLUX.2's tiny autoencoder, with or without noise in the latent."""
    network = load_taef2()
    if network is None:
        raise NotApplicable("TAEF2 weights not found: set ZHENTU_TRAINING_TAEF2 to their folder")
    rgb, mask = _fit(rgb, mask, draw.of("reconstruct"))
    noise = draw.uniform("latent_noise") if draw.chance("noisy") else 0.0
    changed = network.round_trip(rgb, noise, seed=int(draw.rng.integers(2**31)))
    return _place(rgb, changed, mask, draw.of("reconstruct"), "reconstruct.autoencoder")


def tiny(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Round trip through one of the project's own autoencoders, which differ in how they up-sample."""
    network = load_tiny(draw.choice("kind"))
    if network is None:
        raise NotApplicable(
            "the tiny autoencoders are not trained: python -m zhentu_training.forge.tiny, or set ZHENTU_TRAINING_TINY"
        )
    rgb, mask = _fit(rgb, mask, draw.of("reconstruct"))
    noise = draw.uniform("latent_noise") if draw.chance("noisy") else 0.0
    changed = round_trip(network, rgb, noise, seed=int(draw.rng.integers(2**31)))
    return _place(rgb, changed, mask, draw.of("reconstruct"), "reconstruct.tiny")


def upscaler(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws, materials: Materials) -> Forgery:
    """Downscale and restore: weave, print and gloss come back invented."""
    model = draw.choice("model")
    if model not in installed():
        raise NotApplicable(f"{model} is not installed: pip install zhentu[train]")
    rgb, mask = _fit(rgb, mask, draw.of("reconstruct"))
    changed = shrink_and_restore(rgb, model, draw.uniform("shrink"))
    return _place(rgb, changed, mask, draw.of("reconstruct"), "reconstruct.upscaler")


def _fit(rgb: np.ndarray, mask: np.ndarray | None, draw: Draws) -> tuple[np.ndarray, np.ndarray | None]:
    """A native window or the shrunk picture, at most `longest` a side: traces of both scales are wanted."""
    max_side = draw.integer("longest")
    height, width = rgb.shape[:2]
    if max(height, width) <= max_side:
        return rgb, mask
    if not draw.chance("native"):
        scale = max_side / max(height, width)
        size = (max(round(width * scale), 8), max(round(height * scale), 8))
        return (
            cv2.resize(rgb, size, interpolation=cv2.INTER_AREA),
            None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_AREA),
        )
    y = int(draw.rng.integers(max(height - max_side, 0) + 1))
    x = int(draw.rng.integers(max(width - max_side, 0) + 1))
    window = np.s_[y : y + max_side, x : x + max_side]
    return np.ascontiguousarray(rgb[window]), None if mask is None else mask[window]


def _place(
    rgb: np.ndarray,
    changed: np.ndarray,
    mask: np.ndarray | None,
    draw: Draws,
    recipe: str,
) -> Forgery:
    region = np.ones(rgb.shape[:2], np.float32)
    if draw.chance("regional"):
        region = _region(mask, rgb.shape[:2], draw)
        soft = region[..., None]
        changed = np.where(soft > 0, np.round(rgb * (1 - soft) + changed * soft), rgb).astype(np.uint8)
    return Forgery(
        rgb=changed,
        mask=region,
        labels=frozenset({Category.AI_GENERATED}),
        recipe=recipe,
        source=rgb,
    )


def _region(mask: np.ndarray | None, shape: tuple[int, int], draw: Draws) -> np.ndarray:
    """The goods, their background, or a soft ellipse, as float32 in [0, 1]."""
    height, width = shape
    if mask is not None and 0.05 < mask.mean() < 0.9 and draw.chance("goods_region"):
        return (mask if draw.chance("goods_inside") else 1 - mask).astype(np.float32)
    region = np.zeros(shape, np.float32)
    centre = (int(draw.rng.uniform(0.3, 0.7) * width), int(draw.rng.uniform(0.3, 0.7) * height))
    axes = (int(draw.uniform("region_size") * width), int(draw.uniform("region_size") * height))
    cv2.ellipse(region, centre, axes, float(draw.rng.uniform(0, 180)), 0, 360, 1.0, -1)
    return cv2.GaussianBlur(region, (0, 0), 3)


RECIPES = {
    "reconstruct.autoencoder": autoencoder,
    "reconstruct.tiny": tiny,
    "reconstruct.upscaler": upscaler,
}
