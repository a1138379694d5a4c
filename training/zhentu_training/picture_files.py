"""Pictures onto the disk, or an error: `cv2.imwrite` says nothing on a full disk and leaves half a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_picture(path: Path, pixels: np.ndarray, options: Sequence[int] = ()) -> None:
    """Encode by the suffix (uint8, BGR or grey) and write. Raises OSError."""
    path.write_bytes(cv2.imencode(path.suffix, pixels, list(options))[1].tobytes())
