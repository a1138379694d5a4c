"""What happens to pictures on their way to a listing: resized, cropped, re-encoded, slightly re-toned.

Every class goes through the same random chain, or the model learns the codec of a source instead of the forgery. A
pair (genuine, forged) goes through the same chain with the same draws. Written on OpenCV rather than taken from
albumentations: that project is archived, and both halves of a pair, their mask and the codecs must share one draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_INTERPOLATIONS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """Probabilities and ranges of the chain; lives in configs/train.yaml."""

    zoom: tuple[float, float] = (0.55, 1.0)  # side of the kept window as a share of the picture's
    long_side: tuple[int, int] = (288, 720)  # pixels, drawn on a log scale, never more than 1.15 times the picture
    resize: float = 0.75
    encode: float = 0.85
    encode_again: float = 0.3
    jpeg_quality: tuple[int, int] = (45, 97)
    webp_share: float = 0.25
    tone: float = 0.5
    blot: float = 0.4  # a flat or blurred patch, most often in a corner: watermarks must not decide
    flip: float = 0.5


@dataclass(frozen=True, slots=True)
class Chain:
    """One draw of the chain; it treats all pictures of one size in the same way."""

    spec: ChainSpec
    seed: int

    def __call__(self, rgb: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Apply to uint8 RGB (H, W, 3) and, geometry only, to its float32 mask (H, W)."""
        rng, spec = np.random.default_rng(self.seed), self.spec
        rgb, mask = _zoom(rgb, mask, rng, spec.zoom)
        if rng.random() < spec.flip:
            rgb, mask = rgb[:, ::-1], None if mask is None else mask[:, ::-1]
        if rng.random() < spec.resize:
            rgb, mask = _resize(rgb, mask, rng, spec.long_side)
        if rng.random() < spec.tone:
            rgb = _tone(rgb, rng)
        if rng.random() < spec.blot:
            rgb = _blot(rgb, rng)
        rgb = np.ascontiguousarray(rgb)
        if rng.random() < spec.encode:
            rgb = encode(rgb, rng, spec)
            if rng.random() < spec.encode_again:
                if rng.random() < 0.5:
                    rgb, mask = _resize(rgb, mask, rng, spec.long_side)
                rgb = encode(rgb, rng, spec)
        return rgb, mask


def encode(rgb: np.ndarray, rng: np.random.Generator, spec: ChainSpec) -> np.ndarray:
    """Through JPEG (4:2:0 or 4:4:4) or WebP at a random quality and back."""
    quality = int(rng.integers(spec.jpeg_quality[0], spec.jpeg_quality[1] + 1))
    if rng.random() < spec.webp_share:
        suffix, options = ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality]
    else:
        sampling = 0x111111 if rng.random() < 0.3 else 0x221111
        suffix, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    _, payload = cv2.imencode(suffix, rgb[:, :, ::-1], options)
    return np.ascontiguousarray(np.asarray(cv2.imdecode(payload, cv2.IMREAD_COLOR))[:, :, ::-1])


def _zoom(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, zoom: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray | None]:
    height, width = rgb.shape[:2]
    share = rng.uniform(*zoom) if rng.random() < 0.6 else 1.0
    stretch = rng.uniform(0.85, 1.0)
    h = min(height, max(int(height * share * (stretch if rng.random() < 0.5 else 1)), 64))
    w = min(width, max(int(width * share), 64))
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    return rgb[y : y + h, x : x + w], None if mask is None else mask[y : y + h, x : x + w]


def _resize(
    rgb: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator, long_side: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    height, width = rgb.shape[:2]
    target = float(np.exp(rng.uniform(*np.log(long_side))))
    scale = min(target / max(height, width), 1.15)
    size = (max(round(width * scale), 32), max(round(height * scale), 32))
    how = _INTERPOLATIONS[rng.integers(len(_INTERPOLATIONS))]
    rgb = cv2.resize(np.ascontiguousarray(rgb), size, interpolation=how)
    if mask is not None:
        mask = cv2.resize(np.ascontiguousarray(mask), size, interpolation=cv2.INTER_LINEAR)
    return rgb, mask


def _tone(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mild exposure, contrast and white balance: less than any recipe of `effect` starts with."""
    gain = rng.uniform(0.88, 1.12) * rng.uniform(0.95, 1.05, 3)
    gamma = rng.uniform(0.85, 1.18)
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * gain
    table = (levels.clip(0, 1) * 255).round().astype(np.uint8)
    toned = cv2.LUT(np.ascontiguousarray(rgb), table[:, None, :])
    if rng.random() < 0.08:
        toned = cv2.cvtColor(cv2.cvtColor(toned, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return toned


def _blot(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = rgb.shape[:2]
    h, w = int(height * rng.uniform(0.05, 0.18)), int(width * rng.uniform(0.05, 0.3))
    y = height - h if rng.random() < 0.7 else int(rng.integers(height - h + 1))
    x = width - w if rng.random() < 0.6 else int(rng.integers(width - w + 1))
    rgb = rgb.copy()
    patch = rgb[y : y + h, x : x + w]
    rgb[y : y + h, x : x + w] = patch.mean((0, 1)) if rng.random() < 0.5 else cv2.blur(patch, (15, 15))
    return rgb
