"""JPEG markers: metadata segments and scans (ITU-T T.81; XMP specification part 3; C2PA: JUMBF in APP11)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zhentu.intake.containers.block import MAX_STEPS, Block, BlockKind

XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\x00"
EXTENDED_HEADER = b"http://ns.adobe.com/xmp/extension/\x00"
EXIF_HEADER = b"Exif\x00\x00"
_PHOTOSHOP_HEADER = b"Photoshop 3.0\x00"
_SCAN, _END, _COMMENT, _JUMBF, _ICC = 0xDA, 0xD9, 0xFE, 0xEB, 0xE2
_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # only these end entropy-coded data


def blocks(payload: bytes) -> Iterator[Block]:
    """The application and comment segments before the first scan, in file order."""
    position = 2
    for _ in range(MAX_STEPS):
        start = position
        while payload[position + 1 : position + 2] == b"\xff":  # fill bytes
            position += 1
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


def scan_count(payload: bytes) -> int:
    """The number of scans of the first picture in a file; each is a pass of the decoder over all its pixels."""
    scans, position = 0, 2
    while position + 4 <= len(payload):
        if payload[position] != 0xFF:
            found = _MARKER.search(payload, position)
            if found is None:
                break
            position = found.start()
        marker = payload[position + 1]
        if marker == _END:
            break
        if marker in _BARE or marker == 0xFF:
            position += 1 if marker == 0xFF else 2
            continue
        position += 2 + int.from_bytes(payload[position + 2 : position + 4], "big")
        if marker == _SCAN:
            scans += 1
            found = _MARKER.search(payload, position)
            if found is None:
                break
            position = found.start()
    return scans


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
