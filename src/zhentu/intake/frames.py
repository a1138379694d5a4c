"""Which frames of an animation, or pages of a file, are looked at: few enough to pay for, chosen by what people see.

Frames that look alike are one scene. Scenes are taken by how long they are shown and by how much they differ from those
taken already, so that neither a long frame nor a short one of its own kind is missed while their number is small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE, _CELLS = 32, 8  # a frame is compared by 32 x 32 pixels, over 8 x 8 cells of them
_SAME_SCENE = 10.0  # of 255: the mean difference within the cell that differs most
_MOST_SCENES = 256
_UNTIMED_S = 0.1  # what players give a frame of 0 or 10 ms
_SHORTEST_S = 0.011
Thumbnail = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Scene:
    look: Thumbnail
    shown_s: float
    longest: int  # index of its frame that is shown longest
    longest_s: float


class Scenes:
    """Frames put together as they come; memory does not grow with their number."""

    def __init__(self) -> None:
        self._scenes: list[_Scene] = []
        self._always: list[int] = []

    def add(self, index: int, image: Image.Image, shown_s: float, always: bool = False) -> None:
        """One frame more, as it is composed on the canvas. always: look at it whatever the others are."""
        look = _thumbnail(image)
        if always:
            self._always.append(index)
        nearest = min(self._scenes, key=lambda scene: _difference(scene.look, look), default=None)
        if nearest is None or (_difference(nearest.look, look) > _SAME_SCENE and len(self._scenes) < _MOST_SCENES):
            self._scenes.append(_Scene(look, shown_s, index, shown_s))
            return
        nearest.shown_s += shown_s
        if shown_s > nearest.longest_s:
            nearest.longest, nearest.longest_s = index, shown_s

    @property
    def main(self) -> int:
        """The frame that stands for what is shown longest."""
        return max(self._scenes, key=lambda scene: scene.shown_s).longest

    def chosen(self, most: int) -> list[int]:
        """Indices of at most `most` frames, in order: half of them by time shown, the others by change."""
        left = sorted(self._scenes, key=lambda scene: -scene.shown_s)
        taken = left[: max(most - len(self._always) - (most - 1) // 2, 1)]
        left = left[len(taken) :]
        while left and len(taken) + len(self._always) < most:
            other = max(left, key=lambda scene: min(_difference(scene.look, each.look) for each in taken))
            left.remove(other)
            taken.append(other)
        return sorted({*self._always, *(scene.longest for scene in taken)})


def shown_seconds(milliseconds: object) -> float:
    """How long a frame is on the screen, as browsers take what the file says."""
    seconds = float(milliseconds) / 1e3 if isinstance(milliseconds, int | float) else 0.0
    return seconds if seconds >= _SHORTEST_S else _UNTIMED_S


def _thumbnail(image: Image.Image) -> Thumbnail:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        image = (
            image.convert("F").convert("L") if image.mode == "F" else image.point(lambda each: each / 256).convert("L")
        )
    elif image.mode in ("P", "PA", "LA") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX)
        white = Image.new("RGBA", small.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, small).convert("RGB"), dtype=np.float32)
    return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float32)


def _difference(one: Thumbnail, other: Thumbnail) -> float:
    """The largest mean difference of a cell, in grey levels."""
    size = _SIDE // _CELLS
    cells = np.abs(one - other).mean(axis=2).reshape(_CELLS, size, _CELLS, size).mean(axis=(1, 3))
    return float(cells.max())
