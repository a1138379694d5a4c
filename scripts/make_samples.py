"""Make the sample pictures of the package: CC0 photographs that scikit-image ships, and forgeries of them.

    python scripts/make_samples.py            # needs the [train,dev] extras

Deterministic: the same versions of the libraries give the same bytes. Origins stand in src/zhentu/samples/ORIGIN.md.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from skimage import data

from zhentu_training.forge.base import Materials
from zhentu_training.forge.masks import foreground_mask
from zhentu_training.forge.registry import forge

OUT = Path("src/zhentu/samples")
GENUINE = {
    "cup": lambda: data.coffee()[:, 40:560],
    "cat": data.chelsea,
    "rocket": lambda: data.rocket()[:, 100:560],
    "portrait": data.astronaut,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
    "bricks": lambda: np.repeat(data.brick()[:, :, None], 3, 2),
}
FORGED = {  # label -> (genuine picture, recipe, seed)
    "material_mismatch": ("portrait", "material.recolour", 3),
    "exaggerated_effect": ("cup", "effect.sparkle", 5),
    "scene_distortion": ("motorcycle", "scene.bent", 11),
    "cutout_artifact": ("cup", "cutout.bad_matte", 4),
    "ai_generated": ("cat", "reconstruct.upscaler", 1),
}


def save(name: str, rgb: np.ndarray) -> None:
    """JPEG 90, long side at most 640."""
    scale = min(640 / max(rgb.shape[:2]), 1.0)
    rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    cv2.imwrite(str(OUT / f"{name}.jpg"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])


def mask_of(name: str, rgb: np.ndarray) -> np.ndarray | None:
    """The astronaut's suit and the cup are given by hand: GrabCut's idea of them varies."""
    mask = np.zeros(rgb.shape[:2], np.float32)
    if name == "portrait":
        cv2.fillPoly(mask, [np.array([[60, 500], [120, 300], [190, 255], [260, 300], [330, 330], [370, 500]])], 1.0)
    elif name == "cup":
        cv2.ellipse(mask, (270, 200), (205, 160), 0, 0, 360, 1.0, -1)
    else:
        return foreground_mask(rgb)
    return cv2.GaussianBlur(mask, (0, 0), 2)


def main() -> None:
    """Write all samples."""
    OUT.mkdir(exist_ok=True)
    pictures = {name: np.ascontiguousarray(make()) for name, make in GENUINE.items()}
    for name, rgb in pictures.items():
        save(f"genuine_{name}", rgb)
    for label, (name, recipe, seed) in FORGED.items():
        forgery = forge(recipe, pictures[name], seed, Materials(), mask_of(name, pictures[name]))
        if label not in {each.value for each in forgery.labels}:
            raise SystemExit(f"{recipe} does not make {label}")
        save(f"forged_{label}", forgery.rgb)


if __name__ == "__main__":
    main()
