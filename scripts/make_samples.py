"""Make the package's sample pictures: CC0 photographs from scikit-image, our own renders, and forgeries of both.

    python scripts/make_samples.py [NAME...]   # needs the [train,dev] extras, and povray with povray-includes (Debian)

Deterministic: the same library versions give the same bytes. With NAMEs, only samples whose names contain one of them
are written. ORIGIN.md in src/zhentu/samples lists their origins; samples.yaml beside it says what is true of each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from zhentu.mark import LabelSpec, label_picture
from zhentu.types import AiState
from zhentu_training.forge.base import Materials
from zhentu_training.forge.masks import foreground_mask
from zhentu_training.forge.registry import forge

OUT = Path("src/zhentu/samples")
SCENES = Path("scripts/sample_scenes")
RENDERS = {"mug": (640, 480), "stool": (480, 640)}  # our own scenes, with width and height in pixels
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
    "material_mismatch_stool": ("stool", "material.recolour", 2),
    "exaggerated_effect_mug": ("mug", "effect.glow", 1),
    "scene_distortion_stool": ("stool", "scene.transplanted", 3),
    "cutout_artifact_mug": ("mug", "cutout.bad_matte", 2),
    "ai_generated_mug": ("mug", "reconstruct.upscaler", 2),
}
DECLARED = ("declared_ai_mug", "forged_ai_generated_mug")  # the name it gets, and the sample that is labelled


def save(name: str, rgb: np.ndarray) -> None:
    """JPEG 90, long side at most 640."""
    scale = min(640 / max(rgb.shape[:2]), 1.0)
    rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    cv2.imwrite(str(OUT / f"{name}.jpg"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])


def render(name: str, mask: bool = False) -> np.ndarray:
    """Render one of our own scenes with POV-Ray, or the mask of its goods: uint8 RGB."""
    width, height = RENDERS[name]
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        command = ["povray", f"+I{name}.pov", f"+O{picture}", f"+W{width}", f"+H{height}", "+A0.3", "+R2", "-D", "+WT1"]
        command += ["Declare=Mask=1"] if mask else []
        subprocess.run(command, cwd=SCENES, check=True, capture_output=True)
        return cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)


def mask_of(name: str, rgb: np.ndarray) -> np.ndarray | None:
    """The mask of the goods. Suit and cup are drawn by hand, as GrabCut's result varies; renders have their own."""
    if name in RENDERS:
        return render(name, mask=True)[..., 0].astype(np.float32) / 255
    mask = np.zeros(rgb.shape[:2], np.float32)
    if name == "portrait":
        cv2.fillPoly(mask, [np.array([[60, 500], [120, 300], [190, 255], [260, 300], [330, 330], [370, 500]])], 1.0)
    elif name == "cup":
        cv2.ellipse(mask, (270, 200), (205, 160), 0, 0, 360, 1.0, -1)
    else:
        return foreground_mask(rgb)
    return cv2.GaussianBlur(mask, (0, 0), 2)


def main() -> None:
    """Write all samples, or the named ones."""
    OUT.mkdir(exist_ok=True)
    wanted = sys.argv[1:]
    pictures = {name: np.ascontiguousarray(make()) for name, make in GENUINE.items()}
    pictures |= {name: render(name) for name in RENDERS}
    for name, rgb in pictures.items():
        if chosen(f"{'rendered' if name in RENDERS else 'genuine'}_{name}", wanted):
            save(f"{'rendered' if name in RENDERS else 'genuine'}_{name}", rgb)
    materials = Materials(scenes=(OUT / "genuine_cup.jpg",))
    for title, (name, recipe, seed) in FORGED.items():
        if not chosen(f"forged_{title}", wanted):
            continue
        forgery = forge(recipe, pictures[name], seed, materials, mask_of(name, pictures[name]))
        if not any(title.startswith(each.value) for each in forgery.labels):
            raise SystemExit(f"the recipe {recipe} does not produce {title}")
        save(f"forged_{title}", forgery.rgb)
    name, source = DECLARED
    if chosen(name, wanted):
        payload = (OUT / f"{source}.jpg").read_bytes()
        labelled = label_picture(payload, AiState.IS, LabelSpec(propagator="ZHENTU-SAMPLES", visible=False))
        (OUT / f"{name}.jpg").write_bytes(labelled.payload)


def chosen(name: str, wanted: list[str]) -> bool:
    """Whether a sample is to be written."""
    return not wanted or any(each in name for each in wanted)


if __name__ == "__main__":
    main()
