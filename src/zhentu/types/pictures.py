"""A picture as a file, as a frame of it, and as pixels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture's original bytes with their sha256 (lowercase hex), computed once when they arrived."""

    payload: bytes
    sha256: str

    @staticmethod
    def of(payload: bytes) -> PictureFile:
        """The file of some bytes; hashes them, about 1 ms a megabyte."""
        return PictureFile(payload, hashlib.sha256(payload).hexdigest())


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of an animation, or a page of a file. index: from 0, of `total`.  shown_s: seconds, 0 if not timed.

    main: it stands for what is shown longest.
    """

    index: int
    total: int
    shown_s: float
    main: bool

    def __str__(self) -> str:
        shown = f", shown {self.shown_s:.2f} s" if self.shown_s else ""
        return f"frame {self.index + 1} of {self.total}{shown}"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    rgb: uint8 array of shape (height, width, 3), sRGB, upright (EXIF orientation applied), alpha composed on white.
    sha256: lowercase hex of the original bytes.  format: "JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "MPO".
    notes: facts about decoding worth recording, e.g. "alpha composed on white", "first of several frames".
    frame: which one of an animation or a multi-page file it is; None if there is only one picture.
    """

    rgb: npt.NDArray[np.uint8]
    sha256: str
    format: str
    byte_count: int
    notes: tuple[str, ...] = ()
    frame: Frame | None = None

    @property
    def width(self) -> int:
        """Pixels across, after orientation."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """Pixels down, after orientation."""
        return int(self.rgb.shape[0])
