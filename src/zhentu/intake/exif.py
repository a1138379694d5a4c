"""The few EXIF tags zhentu asks for, read straight from the TIFF structure (EXIF 2.32, TIFF 6.0, BigTIFF).

Own code, because both libraries that do it safely (exiv2's bindings) are GPL, and Pillow hands out no offsets, which
blanking an old label in place needs. Two directories are read, never more: there is nothing to loop over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from zhentu.intake.containers.block import MAX_BODY

MAX_TEXT = 256 * 1024
_MAX_TAGS = 512
_EXIF_IFD, XMP_TAG, C2PA_TAG, _IPTC_TAG = 0x8769, 700, 0xCD41, 33723
_TEXT_TAGS = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    0x829A: "ExposureTime",
    0x9286: "UserComment",
    0x9C9C: "XPComment",
}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@dataclass(frozen=True, slots=True)
class Exif:
    """text: tag name to text, first occurrence.  places: tag name to the byte range of its value in the block.

    xmp, iptc: the bodies of TIFF tags 700 and 33723, empty when absent.  has_c2pa: TIFF tag 0xCD41 is there.
    """

    text: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    xmp: bytes = b""
    iptc: bytes = b""
    has_c2pa: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    tag: int
    kind: int
    start: int
    end: int
    number: int


def parse_exif(block: bytes) -> Exif:
    """Tags of a TIFF structure; what cannot be read is left out, and nothing is raised."""
    text: dict[str, str] = {}
    places: dict[str, tuple[int, int]] = {}
    xmp, iptc, has_c2pa = b"", b"", False
    order = {b"II": "<", b"MM": ">"}.get(block[:2], "")
    try:
        for entry in _entries(block, order) if order else ():
            value = block[entry.start : min(entry.end, entry.start + MAX_BODY)]
            if entry.tag == XMP_TAG:
                xmp = xmp or value
            elif entry.tag == _IPTC_TAG:
                iptc = iptc or value
            elif entry.tag == C2PA_TAG:
                has_c2pa = True
            name = _TEXT_TAGS.get(entry.tag)
            if name and name not in text:
                text[name] = _text(name, value[:MAX_TEXT], entry.kind, order)
                places[name] = (entry.start, entry.end)
    except (struct.error, OverflowError):  # an offset beyond the block; what was read before counts
        pass
    return Exif(text, places, xmp, iptc, has_c2pa)


def _entries(block: bytes, order: str) -> Iterator[_Entry]:
    (version,) = struct.unpack_from(order + "H", block, 2)
    if version not in (42, 43, 0x55, 0x4F52, 0x5352):
        return
    big = version == 43
    (first,) = struct.unpack_from(order + ("Q" if big else "I"), block, 8 if big else 4)
    details = 0
    for entry in _directory(block, order, first, big):
        if entry.tag == _EXIF_IFD:
            details = entry.number
        yield entry
    if details:
        yield from _directory(block, order, details, big)


def _directory(block: bytes, order: str, start: int, big: bool) -> Iterator[_Entry]:
    count_format, row, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    (count,) = struct.unpack_from(order + count_format, block, start)
    start += 8 if big else 2
    for index in range(min(count, _MAX_TAGS)):
        place = start + index * row
        tag, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), block, place)
        size = _SIZES.get(kind, 1) * number
        value = place + row - inline
        (offset,) = struct.unpack_from(order + ("Q" if big else "I"), block, value)
        begin = value if size <= inline else offset
        if begin + size <= len(block):
            yield _Entry(tag, kind, begin, begin + size, offset)


def _text(name: str, value: bytes, kind: int, order: str) -> str:
    if name == "UserComment":
        return _user_comment(value)
    if name == "XPComment":
        return value.decode("utf-16-le", "replace").strip("\x00 ")
    if kind in (5, 10):  # a rational: only that it is there matters
        return "/".join(str(part) for part in struct.unpack_from(order + "II", value))
    return value.partition(b"\x00")[0].decode("utf-8", "replace").strip()


def _user_comment(value: bytes) -> str:
    """EXIF 4.6.5: eight bytes name the character code, the text follows."""
    code, body = value[:8], value[8:]
    if code.startswith(b"UNICODE"):
        return body.decode("utf-16-le" if body[1:2] == b"\x00" else "utf-16-be", "replace").strip("\x00 ")
    if code.startswith((b"ASCII", b"\x00" * 8, b"JIS")):
        return body.decode("utf-8", "replace").strip("\x00 ")
    return value.decode("utf-8", "replace").strip("\x00 ")
