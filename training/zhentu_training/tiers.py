"""The three roads on which a picture may have come; both classes take the same one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np


def shrunk(rgb: np.ndarray, long_side: int) -> np.ndarray:
    """A picture with its long side at most this many pixels, by area averaging; no side under 32."""
    scale = min(long_side / max(rgb.shape[:2]), 1.0)
    size = (max(round(rgb.shape[1] * scale), 32), max(round(rgb.shape[0] * scale), 32))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def _through(rgb: np.ndarray, suffix: str, flag: int, quality: int) -> np.ndarray:
    _, payload = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [flag, quality])
    return cv2.cvtColor(np.asarray(cv2.imdecode(payload, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)


def native(rgb: np.ndarray) -> np.ndarray:
    """As stored."""
    return rgb


def web(rgb: np.ndarray) -> np.ndarray:
    """Long side 512, JPEG 88."""
    return _through(shrunk(rgb, 512), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 88)


def hard(rgb: np.ndarray) -> np.ndarray:
    """WebP 75, then long side 400, JPEG 60."""
    return _through(
        shrunk(_through(rgb, ".webp", cv2.IMWRITE_WEBP_QUALITY, 75), 400), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 60
    )


TIERS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {"native": native, "web": web, "hard": hard}
