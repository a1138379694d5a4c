"""What the comparison keeps of one picture: the goods alone, their surface, and the encoder's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.detect.canvas import PLACES, Canvas, FloatArray
from zhentu.detect.surface import Surface, surface_of


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One picture as the comparison knows it; depends on nothing else, so it is kept by the picture's sha256.

    tokens: float16 (blocks, PLACES * PLACES, D), centred, of unit length.  classes: float32 (blocks, D), class tokens,
    centred, of unit length.  identity: float32 (2 * blocks, d), of unit length: the goods' mean token and the class
    token of each block, in the directions that tell goods apart whatever the photograph.  found: whether the goods were
    found, or the whole picture stands for them.
    """

    canvas: Canvas
    surface: Surface
    tokens: npt.NDArray[np.float16]
    classes: FloatArray
    identity: FloatArray
    found: bool

    @staticmethod
    def of(canvas: Canvas, encoded: Sequence[npt.NDArray[Any]], found: bool) -> Look:
        """A look at a canvas. encoded: what the encoder gives of it: tokens, classes, identity."""
        tokens, classes, identity = encoded
        return Look(canvas, surface_of(canvas), tokens, classes, identity, found)

    @property
    def weight(self) -> FloatArray:
        """How much each place is goods, (PLACES * PLACES,), summing to 1."""
        return weight_of(self.canvas)


def weight_of(canvas: Canvas) -> FloatArray:
    """How much each place of a canvas is goods, (PLACES * PLACES,), summing to 1."""
    cells = cv2.resize(canvas.mask, (PLACES, PLACES), interpolation=cv2.INTER_AREA).ravel()
    total = float(cells.sum())
    return np.asarray(cells / total if total > 0 else np.full_like(cells, 1 / cells.size), dtype=np.float32)
