"""JPEG markers: metadata segments and scans (ITU-T T.81; XMP specification part 3; C2PA: JUMBF in APP11)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zhentu.intake.containers.block import MAX_STEPS, Block, BlockKind

XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\x00"
EXTENDED_HEADER = b"http://ns.adobe.com/xmp/extension/\x00"
EXIF_HEADER = b"Exif\x00\x00"
_PHOTOSHOP_HEADER = b"Photoshop 3.0\x00"
_SCAN, _END, _COMMENT, _JUMBF, _ICC = 0xDA, 0xD9, 0xFE, 0xEB, 0xE2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALL = (1 << 64) - 1  # the coefficients of a block, one bit each
_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # only these end entropy-coded data
_FILL = re.compile(rb"\xff+")  # any number of them may stand before a marker's second byte


def blocks(payload: bytes) -> Iterator[Block]:
    """The application and comment segments before the first scan, in file order."""
    position = 2
    for _ in range(MAX_STEPS):
        start, position = position, _after_fill(payload, position)
        if position + 4 > len(payload) or payload[position] != 0xFF:
            return
        marker = payload[position + 1]
        if marker in (_SCAN, _END):
            return
        if marker in _BARE:
            position += 2
            continue
        length = int.from_bytes(payload[position + 2 : position + 4], "big")
        end = position + 2 + length
        if length < 2 or end > len(payload):
            return
        if 0xE0 <= marker <= 0xEF or marker == _COMMENT:
            yield _block(marker, start, end, payload[position + 4 : end])
        position = end


@dataclass(frozen=True, slots=True)
class Scans:
    """The coded data of a picture in a file. count: passes of the decoder over all its pixels.

    end: where the picture ends, behind its end marker; -1 if it has none.  whole: the scans carry every coefficient of
    every component, which a progressive file that breaks off between two of them does not.  steps: markers walked over.
    """

    count: int
    end: int
    whole: bool
    steps: int


def scans_of(payload: bytes, start: int = 0, most: int = MAX_STEPS) -> Scans:
    """The scans of the picture that begins at `start`, by their markers alone.

    most: markers walked over. A real picture has some dozens; of one that has more, whatever looks like a scan in the
    rest of the file counts as one, so that no limit of scans is passed by, and it has no end.
    """
    count, position, end, steps = 0, start + 2, -1, 0
    wanted: dict[int, int] = {}  # component -> its coefficients that no scan has carried, as bits
    for steps in range(1, most + 1):  # noqa: B007 - how many were taken is told
        if payload[position : position + 1] != b"\xff":
            found = _MARKER.search(payload, position)
            if found is None:
                break
            position = found.start()
        position = _after_fill(payload, position)
        if position + 2 > len(payload):
            break
        marker = payload[position + 1]
        if marker == _END:
            end = position + 2
            break
        if marker in _BARE:
            position += 2
            continue
        if position + 4 > len(payload):
            break
        length = int.from_bytes(payload[position + 2 : position + 4], "big")
        body = payload[position + 4 : position + 2 + length]
        position += 2 + length
        if marker in _FRAMES:
            wanted = dict.fromkeys(body[6 : 6 + 3 * body[5] : 3] if len(body) > 5 else b"", _ALL)
        if marker == _SCAN:
            count += 1
            _carry(wanted, body)
            found = _MARKER.search(payload, position)
            if found is None:
                break
            position = found.start()
    else:
        count += payload.count(bytes((0xFF, _SCAN)), position)
    return Scans(count, end, bool(wanted) and not any(wanted.values()), steps)


def _after_fill(payload: bytes, position: int) -> int:
    """The last of the 0xFF bytes that begin at `position`, which is the one that belongs to the marker."""
    run = _FILL.match(payload, position)
    return run.end() - 1 if run else position


def with_end(payload: bytes) -> bytes:
    """The file with an end marker, if it has none; whether that completes it only a decoder can say."""
    if scans_of(payload).end >= 0:
        return payload
    return payload + (b"\xd9" if payload.endswith(b"\xff") else b"\xff\xd9")


def _carry(wanted: dict[int, int], header: bytes) -> None:
    """Strike what a scan carries to its last bit (T.81 B.2.3: Ss, Se and, of Ah and Al, Al)."""
    if not header or len(header) < 4 + 2 * header[0]:
        return
    first, last, precision = header[1 + 2 * header[0] : 4 + 2 * header[0]]
    if precision & 15 or not first <= last <= 63:
        return
    carried = (1 << (last + 1)) - (1 << first)
    for component in header[1 : 1 + 2 * header[0] : 2]:
        if component in wanted:
            wanted[component] &= ~carried


def _block(marker: int, start: int, end: int, body: bytes) -> Block:
    if marker == 0xE1:
        for header, kind in (
            (XMP_HEADER, BlockKind.XMP),
            (EXTENDED_HEADER, BlockKind.XMP_EXTENDED),
            (EXIF_HEADER, BlockKind.EXIF),
        ):
            if body.startswith(header):
                return Block(kind, start, end, body[len(header) :])
    if marker == _JUMBF and body[:2] == b"JP" and b"c2pa" in body[:64]:
        return Block(BlockKind.C2PA, start, end, b"")
    if marker == 0xED and body.startswith(_PHOTOSHOP_HEADER):
        return Block(BlockKind.IPTC, start, end, body[len(_PHOTOSHOP_HEADER) :])
    key = "comment" if marker == _COMMENT else f"APP{marker - 0xE0}"
    # Only what is binary by its own header is left unread: whatever else stands in a segment may be a label.
    bulky = (marker == _JUMBF and body[:2] == b"JP") or (marker == _ICC and body.startswith(b"ICC_PROFILE\x00"))
    return Block(BlockKind.OTHER, start, end, b"" if bulky else body, key)
