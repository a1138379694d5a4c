"""Pixels made small enough for a page or the store, and written as JPEG.

Writing them anew is what keeps whatever else a file holds, such as scripts in its metadata, away from pages.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def within(rgb: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Pixels (height, width, 3), shrunk until no side is over `side`, each at least 1; the same array if none is."""
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def as_jpeg(rgb: npt.NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG of RGB pixels (height, width, 3). quality: 1 to 100, as libjpeg counts."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()
