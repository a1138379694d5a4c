"""Every recipe by name, and the single entry point for forging."""

from __future__ import annotations

import zlib
from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from zhentu_training.forge import by_hand, cutout, effect, material, negatives, scene
from zhentu_training.forge.base import Forgery, Materials, NotApplicable, Recipe
from zhentu_training.forge.draws import Draws, Sections, load_sections

RECIPES: dict[str, Recipe] = {
    **material.RECIPES,
    **effect.RECIPES,
    **scene.RECIPES,
    **cutout.RECIPES,
    **by_hand.RECIPES,
    **negatives.RECIPES,
}
if find_spec("torch"):  # the generators need torch and ncnn; the other recipes run without them
    from zhentu_training.forge import reconstruct

    RECIPES |= reconstruct.RECIPES

MIN_SIDE = 64  # pixels


def forge(
    name: str,
    rgb: np.ndarray,
    seed: int,
    materials: Materials | None = None,
    mask: np.ndarray | None = None,
    sections: Sections | None = None,
) -> Forgery:
    """Forge uint8 RGB (H, W, 3) by recipe name; the same arguments give the same bits.

    mask: float32 (H, W) foreground of the goods, see `masks.foreground_mask`.  sections: see `draws.load_sections`.
    Raises NotApplicable if the recipe does not fit the picture, KeyError for an unknown recipe.
    """
    if min(rgb.shape[:2]) < MIN_SIDE:
        raise NotApplicable(f"the picture is under {MIN_SIDE} pixels")
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    draw = Draws(rng, sections or load_sections(), name)
    return replace(RECIPES[name](rgb, mask, draw, materials or Materials()), parameters=draw.recorded)
