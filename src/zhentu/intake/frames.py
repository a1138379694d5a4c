"""Which frames of an animation, or pages of a file, are looked at: few enough to pay for, chosen by what people see.

Frames that look alike are one scene. Scenes are taken by how long they are shown and by how much they differ from those
taken already, so that neither a long frame nor a short distinct one is missed while there are few scenes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

CELL_PIXELS, _CELLS = 16, 8  # a frame is compared by 16 x 16 pixels, over 8 x 8 cells of them
SAME_SCENE = 10.0  # of 255: the mean difference within the cell that differs most
_MOST_SCENES = 256
_UNTIMED_S = 0.1  # what players give a frame of 0 or 10 ms
_SHORTEST_S = 0.011
Thumbnail = npt.NDArray[np.float32]


@dataclass(slots=True, eq=False)
class _Scene:
    shown_s: float
    longest: int  # index of its frame that is shown longest
    longest_s: float


class Scenes:
    """Frames grouped into scenes as they come; memory does not grow with their number."""

    def __init__(self) -> None:
        self._scenes: list[_Scene] = []
        self._looks = np.empty((_MOST_SCENES, _CELLS * _CELLS, 3 * CELL_PIXELS * CELL_PIXELS // _CELLS**2), np.float32)
        self._always: list[int] = []

    def add(self, index: int, image: Image.Image, shown_s: float, always: bool = False) -> None:
        """Add a frame as composed on the canvas. always: look at it whatever the others are."""
        if always:
            self._always.append(index)
            return
        look, known = by_cells(_thumbnail(image)), len(self._scenes)
        found = differences(self._looks[:known], look)
        nearest = int(found.argmin()) if known else -1
        if not known or (found[nearest] > SAME_SCENE and known < _MOST_SCENES):
            self._looks[known] = look
            self._scenes.append(_Scene(shown_s, index, shown_s))
            return
        scene = self._scenes[nearest]
        scene.shown_s += shown_s
        if shown_s > scene.longest_s:
            scene.longest, scene.longest_s = index, shown_s

    @property
    def main(self) -> int:
        """The frame that stands for what is shown longest."""
        return max(self._scenes, key=lambda scene: scene.shown_s).longest if self._scenes else self._always[0]

    def chosen(self, most: int) -> list[int]:
        """Indices of at most `most` frames, in order: half of them by time shown, the others by change."""
        places = sorted(range(len(self._scenes)), key=lambda place: -self._scenes[place].shown_s)
        room = max(most - len(self._always), 1)
        taken, left = places[: (room + 1) // 2], places[(room + 1) // 2 :]
        nearest = np.full(len(self._scenes), np.inf)
        for place in taken:
            nearest = np.minimum(nearest, differences(self._looks[: len(places)], self._looks[place]))
        while left and len(taken) < room:
            other = max(left, key=lambda place: nearest[place])
            left.remove(other)
            taken.append(other)
            nearest = np.minimum(nearest, differences(self._looks[: len(places)], self._looks[other]))
        return sorted({*self._always, *(self._scenes[place].longest for place in taken)})


def shown_seconds(milliseconds: object) -> float:
    """How long a frame is shown, as browsers interpret the file."""
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
        small = image.resize((CELL_PIXELS, CELL_PIXELS), Image.Resampling.BOX)
        white = Image.new("RGBA", small.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, small).convert("RGB"), dtype=np.float32)
    return np.asarray(image.convert("RGB").resize((CELL_PIXELS, CELL_PIXELS), Image.Resampling.BOX), dtype=np.float32)


def by_cells(small: Thumbnail) -> Thumbnail:
    """(cells, values of a cell), so that compared values are contiguous."""
    size = CELL_PIXELS // _CELLS
    return small.reshape(_CELLS, size, _CELLS, size, 3).swapaxes(1, 2).reshape(_CELLS * _CELLS, -1)


def differences(looks: Thumbnail, look: Thumbnail) -> npt.NDArray[np.float32]:
    """Distance of each of several looks to one: the largest mean difference of a cell, in grey levels."""
    cells = np.abs(looks - look).mean(axis=2)
    return np.asarray(cells.max(axis=1, initial=0.0), dtype=np.float32)
