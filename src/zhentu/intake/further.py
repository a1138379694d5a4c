"""Files behind the picture in a JPEG: gain maps, previews and the video of a motion photo, or anything appended.

Viewers show the first picture, and only that is judged. Others are usual on phones, so they are noted and no more.
"""

from __future__ import annotations

from collections.abc import Iterator

from zhentu.intake.containers.block import MAX_STEPS
from zhentu.intake.containers.jpeg import scans_of
from zhentu.types import Evidence, EvidenceKind, Fact, Trust

_MOST = 16  # files that are counted
BEGINNINGS = _JPEG, _BOX = b"\xff\xd8\xff", b"ftyp"  # without any of them nothing follows
_NEAR = 4  # bytes of a box's length before its type


def further_files(payload: bytes) -> Iterator[Evidence]:
    """One piece of evidence if JPEGs or a video follow the end of a JPEG's picture. It has no say in a decision."""
    end = scans_of(payload).end
    found = sorted(_behind(payload, end)) if end >= 0 else []
    if not found:
        return
    kinds = ", ".join(dict.fromkeys(kind for _, kind in found))
    count, away = len(found), found[0][0] - end
    said = "one further file" if count == 1 else f"{count} further files"
    gap = f", the first {away} bytes behind its end" if away else ""
    detail = f"{said} ({kinds}) behind the picture{gap}; only the first picture is judged"
    facts = ((Fact.COUNT, str(count)), (Fact.FIELD, kinds), (Fact.BYTES, str(away)))
    yield Evidence(EvidenceKind.FILE, "further_files", detail, Trust.MEASURED, "behind the picture", facts=facts)


def _behind(payload: bytes, end: int) -> Iterator[tuple[int, str]]:
    """Where whole JPEGs begin behind `end`, not those within them, and where a video does."""
    place, steps = end, MAX_STEPS  # for all of them together
    for _ in range(_MOST):
        place = payload.find(_JPEG, place)
        if place < 0:
            break
        yield place, "JPEG"
        inner = scans_of(payload, place, steps)
        steps -= inner.steps
        place = inner.end if inner.end > 0 else place + len(_JPEG)
    video = payload.find(_BOX, end)
    if video >= end + _NEAR:
        yield video - _NEAR, "MP4"
