"""The visible label of a file: its note in XMP, finding it again in the pixels, and painting it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import numpy.typing as npt

from zhentu.intake.metadata import Metadata
from zhentu.mark import badge as badges
from zhentu.mark.metadata import MARK_NAME, MARK_NAMESPACE
from zhentu.mark.paint import Overlay
from zhentu.mark.spec import Badge, LabelSpec
from zhentu.types import AiState

_MAX_NOTE, _MAX_SIDE = 2048, 1_000_000


def note_of(badge: Badge) -> str:
    """What XMP keeps of a badge: JSON, which `badge_of` reads again."""
    return json.dumps(
        {
            "state": int(badge.state),
            "lines": badge.lines,
            "box": badge.box,
            "size": badge.size,
            "dark": badge.dark,
            "ink": badge.ink,
            "picture": badge.picture,
        },
        ensure_ascii=False,
    )


def noted_badges(metadata: Metadata) -> tuple[Badge, ...]:
    """The badges that metadata describes; anybody can write such a note, so only pixels prove one."""
    values = [
        each.value
        for packet in metadata.packets
        for each in packet.properties
        if (each.namespace, each.name) == (MARK_NAMESPACE, MARK_NAME)
    ]
    return tuple(badge for value in values[:4] if (badge := badge_of(value)) is not None)


def badge_of(note: str) -> Badge | None:
    """The badge that a note describes; None if it is not such a note."""
    if len(note) > _MAX_NOTE:
        return None
    try:
        found = json.loads(note)
        box = tuple(_side(each) for each in found["box"])
        picture = tuple(_side(each) for each in found["picture"])
        lines = tuple(str(each) for each in found["lines"])
        badge = Badge(
            lines=lines,
            box=(box[0], box[1], box[2], box[3]),
            size=_side(found["size"]),
            dark=found["dark"] is True,
            ink=_side(found["ink"]),
            picture=(picture[0], picture[1]),
            state=AiState(found["state"]),
        )
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return badge if min(badge.picture) > 0 else None


def grey_of(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Luminance of an RGB picture, uint8 (height, width)."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def design(grey: npt.NDArray[np.uint8], state: AiState, spec: LabelSpec, older: Badge | None) -> tuple[Badge, Overlay]:
    """The badge for a picture and the pixels to paint. An older badge, if there is one, is covered completely."""
    rows, columns = grey.shape
    plate = badges.design((columns, rows), state, spec.language, spec.height, dark=True)
    size = (plate.pixels.shape[1], plate.pixels.shape[0])
    if older is None:
        left, top = badges.place(grey, size, spec.right_to_left)
    else:
        size = (max(size[0], older.box[2]), max(size[1], older.box[3]))
        left, top = _around(older, size, (columns, rows))
    box = (left, top, *size)
    dark = older.dark if older else badges.wants_dark(grey, box)
    plate = badges.draw(plate.lines, plate.size, dark)
    badge = Badge(plate.lines, box, plate.size, dark, plate.ink, (columns, rows), state)
    return badge, Overlay(badges.stretched(plate, size), left, top)


def _around(older: Badge, size: tuple[int, int], picture: tuple[int, int]) -> tuple[int, int]:
    """Left and top of a box of `size` that covers the older one and grows away from the nearer edges."""
    near = [older.box[k] + older.box[k + 2] / 2 < picture[k] / 2 for k in (0, 1)]
    starts = [older.box[k] if near[k] else older.box[k] + older.box[k + 2] - size[k] for k in (0, 1)]
    left, top = (min(max(starts[k], 0), max(picture[k] - size[k], 0)) for k in (0, 1))
    return left, top


def _side(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_SIDE:
        raise ValueError("not a length in pixels")
    return value
