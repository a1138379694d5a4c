"""Pictures with structure at many scales, from formulas: no decoder and no file stands between."""

from __future__ import annotations

import numpy as np


def waves(height: int, width: int, seed: int = 3) -> np.ndarray:
    """A smooth picture with structure at many scales."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : 1j * height, 0 : 1 : 1j * width]
    picture = np.zeros((height, width, 3))
    for _ in range(24):
        across, down = rng.uniform(-14, 14, 2)
        picture += np.sin(2 * np.pi * (across * x + down * y) + rng.uniform(0, 6))[..., None] * rng.uniform(0, 1, 3)
    return ((picture - picture.min()) / np.ptp(picture) * 255).astype(np.uint8)


def recoloured(rgb: np.ndarray) -> np.ndarray:
    """The same shape in other colours, its brightness kept."""
    grey = rgb @ np.float32([0.299, 0.587, 0.114])
    return np.clip(np.stack([grey * 0.4, grey * 1.1, grey * 2], -1), 0, 255).astype(np.uint8)
