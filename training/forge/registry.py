"""Every recipe by name, and the one door through which pictures are forged."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from importlib.util import find_spec

import numpy as np

from training.forge import cutout, effect, material, negatives, scene
from training.forge.base import Forgery, Materials, NotApplicable, Recipe

RECIPES: dict[str, Recipe] = {
    **material.RECIPES,
    **effect.RECIPES,
    **scene.RECIPES,
    **cutout.RECIPES,
    **negatives.RECIPES,
}
if find_spec("torch"):  # the generators need torch and ncnn; the other recipes run without them
    from training.forge import reconstruct

    RECIPES |= reconstruct.RECIPES

MIN_SIDE = 64  # pixels


def forge(
    name: str,
    rgb: np.ndarray,
    seed: int,
    materials: Materials | None = None,
    mask: np.ndarray | None = None,
    config: Mapping | None = None,
) -> Forgery:
    """Forge uint8 RGB (H, W, 3) by recipe name; the same arguments give the same bits.

    mask: float32 (H, W) foreground of the goods, see `masks.foreground_mask`.
    Raises NotApplicable where the recipe does not fit the picture, KeyError for an unknown recipe.
    """
    if min(rgb.shape[:2]) < MIN_SIDE:
        raise NotApplicable(f"the picture is under {MIN_SIDE} pixels")
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return RECIPES[name](rgb, mask, rng, materials or Materials(), config or {})
