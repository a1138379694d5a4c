"""The few EXIF tags zhentu asks for, read straight from the TIFF structure (EXIF 2.32, TIFF 6.0, BigTIFF).

Our own code, because both libraries that do it safely (exiv2's bindings) are GPL, and Pillow gives no offsets, which
are needed to blank an old label in place. Three directories are read (the picture's, its details, its thumbnail's),
never more: there is nothing to loop over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zhentu.intake.containers.block import MAX_BODY
from zhentu.intake.wording import best_text, narrow_text, user_comment

MAX_TEXT = 1024 * 1024  # bytes of one value that are read as text
_MAX_TAGS = 512
_MAX_FIELDS = 128
_EXIF_IFD, XMP_TAG, C2PA_TAG, _IPTC_TAG, _COMMENT_TAG, _BITS_TAG = 0x8769, 700, 0xCD41, 33723, 0x9286, 258
_TEXT_TAGS = {
    0x010D: "DocumentName",
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    0x013C: "HostComputer",
    0x8298: "Copyright",
    0x829A: "ExposureTime",
    0x9286: "UserComment",
    0x927C: "MakerNote",
    0x9C9B: "XPTitle",
    0x9C9C: "XPComment",
    0x9C9D: "XPAuthor",
    0x9C9E: "XPKeywords",
    0x9C9F: "XPSubject",
    0xA420: "ImageUniqueID",
    0xA430: "CameraOwnerName",
}
_WIDE_TAGS = range(0x9C9B, 0x9CA0)  # Windows writes them in UTF-16
_TEXT_KINDS = (2, 129)  # ASCII, and UTF-8 of EXIF 3.0
_LOOSE_KINDS = (1, 7)  # bytes: read as text only if they contain something that calls itself a label
_MARKS = (b"AIGC", b"aigc", b"A\x00I\x00G\x00C")
_SIZES = {
    **dict.fromkeys((1, 2, 6, 7, 129), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}


@dataclass(frozen=True, slots=True)
class ExifField:
    """A tag that holds text. start, end: the byte range of its value in the block."""

    tag: int
    name: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Exif:
    """fields: every tag that holds text, in file order; a name may occur more than once.

    xmp, iptc: the bodies of TIFF tags 700 and 33723, empty when absent.  has_c2pa: TIFF tag 0xCD41 is there.
    bits: per channel (TIFF tag 258), 0 if not given.
    """

    fields: tuple[ExifField, ...] = ()
    xmp: bytes = b""
    iptc: bytes = b""
    has_c2pa: bool = False
    bits: int = 0

    @property
    def text(self) -> Mapping[str, str]:
        """Tag name to text, first occurrence."""
        return {each.name: each.text for each in reversed(self.fields)}


@dataclass(frozen=True, slots=True)
class _Entry:
    tag: int
    kind: int
    start: int
    end: int
    number: int


def parse_exif(block: bytes) -> Exif:
    """Tags of a TIFF structure; unreadable ones are left out, and nothing is raised."""
    fields: list[ExifField] = []
    xmp, iptc, has_c2pa, bits = b"", b"", False, 0
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
            elif entry.tag == _BITS_TAG:
                bits = bits or int(struct.unpack_from(order + "H", value)[0])
            elif len(fields) < _MAX_FIELDS:
                text = _text(entry, value[:MAX_TEXT], order)
                if text is not None:
                    name = _TEXT_TAGS.get(entry.tag, f"0x{entry.tag:04X}")
                    fields.append(ExifField(entry.tag, name, text, entry.start, entry.end))
    except (struct.error, OverflowError):  # an offset beyond the block; keep what was read
        pass
    return Exif(tuple(fields), xmp, iptc, has_c2pa, bits)


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
    thumbnail = _following(block, order, first, big)
    if thumbnail:
        yield from _directory(block, order, thumbnail, big)


def _following(block: bytes, order: str, start: int, big: bool) -> int:
    """Offset of the directory after the first one, 0 if there is none."""
    count_format, row, head, offset_format = ("Q", 20, 8, "Q") if big else ("H", 12, 2, "I")
    (count,) = struct.unpack_from(order + count_format, block, start)
    if count > _MAX_TAGS:
        return 0
    (place,) = struct.unpack_from(order + offset_format, block, start + head + count * row)
    return int(place)


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


def _text(entry: _Entry, value: bytes, order: str) -> str | None:
    """The text of a tag, None if it holds none."""
    if entry.tag == _COMMENT_TAG:
        return user_comment(value, order)
    if entry.tag in _WIDE_TAGS:
        return best_text(value, "utf-16-le")
    if entry.kind in _TEXT_KINDS:
        return narrow_text(value.partition(b"\x00")[0])
    if entry.kind in _LOOSE_KINDS and any(mark in value for mark in _MARKS):
        return best_text(value)
    if entry.tag not in _TEXT_TAGS:
        return None
    # A number where text is expected, e.g. the exposure time: only its presence matters.
    return "/".join(map(str, struct.unpack_from(order + "II", value))) if entry.kind in (5, 10) else "(a number)"
