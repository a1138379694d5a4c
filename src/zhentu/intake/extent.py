"""How much work a picture is, from its headers alone: nothing is decoded.

A header may lie, but then its sender loses the picture, because decoders stop at the size it names.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from zhentu.errors import PictureTooLarge
from zhentu.intake.containers import png

BYTES_PER_PIXEL = 14  # at the peak of decoding, the file's own samples, conversions and the upright copy included
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEGMENTS = 2000  # of a JPEG that are looked at
_CHUNKS = 10_000  # of a PNG: 80 MB as libpng writes it
_TAGS = 500  # of a TIFF
_PLAIN = 40_000_000  # pixels times passes that a thread decodes in about a second
_NEAR = 64 * 1024  # bytes in which containers say what they hold


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a picture is. width, height: pixels.  passes: how often the decoder goes over them.

    plain: of a kind whose decoding time follows from these three, so that it need not be abortable.
    """

    width: int
    height: int
    passes: int = 1
    plain: bool = True

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def is_light(self) -> bool:
        """Whether decoding takes a second at most: a still picture of common kind and size, and few passes."""
        return self.plain and self.pixels * self.passes <= _PLAIN

    @property
    def cost(self) -> int:
        """Bytes of memory for decoding."""
        return self.pixels * BYTES_PER_PIXEL


_UNKNOWN = Extent(0, 0, plain=False)


def extent_of(payload: bytes) -> Extent:
    """The extent of a picture; 0 x 0 and not plain if the bytes do not say."""
    for start, read in _READERS:
        if payload.startswith(start):
            try:
                return read(payload)
            except (struct.error, IndexError):
                return _UNKNOWN
    return _avif(payload) if payload[4:8] == b"ftyp" else _UNKNOWN


def is_plain(payload: bytes) -> bool:
    """Whether decoding takes a second at most: a still JPEG, PNG, WebP or BMP of common size and few passes."""
    return extent_of(payload).is_light


def check_together(references: Sequence[bytes], most_pixels: int) -> None:
    """Raise PictureTooLarge if references together have more pixels than one picture may have."""
    pixels = sum(extent_of(each).pixels for each in references)
    if pixels > most_pixels:
        raise PictureTooLarge(
            f"the references have {pixels / 1e6:.0f} megapixels together, the limit is {most_pixels / 1e6:.0f}; "
            "send them smaller"
        )


def _jpeg(payload: bytes) -> Extent:
    width = height = 0
    at = 2
    for _ in range(_SEGMENTS):
        if payload[at] != 0xFF:
            break
        marker = payload[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _START_OF_FRAME:
            rows, columns = struct.unpack(">HH", payload[at + 5 : at + 9])
            width, height = max(width, columns), max(height, rows)
        if marker == 0xDA:
            # 0xFF in the coded data is always followed by 0x00 or a restart marker, so this counts scans, including
            # those of thumbnails and second pictures in the file, which errs on the safe side.
            return Extent(width, height, max(payload.count(b"\xff\xda"), 1), plain=width > 0)
        at += 2 + int.from_bytes(payload[at + 2 : at + 4], "big")
    return Extent(width, height, plain=False)


def _png(payload: bytes) -> Extent:
    width, height = struct.unpack(">II", payload[16:24])
    # A decoder pays for every chunk, however short it is.
    many = next(islice(png.chunks(payload), _CHUNKS, None), None) is not None
    return Extent(width, height, 1 + payload[28], plain=not many and b"acTL" not in payload[:_NEAR])


def _webp(payload: bytes) -> Extent:
    kind = payload[12:16]
    if payload[8:12] != b"WEBP":
        return _UNKNOWN
    if kind == b"VP8X":
        width = int.from_bytes(payload[24:27], "little") + 1
        height = int.from_bytes(payload[27:30], "little") + 1
        return Extent(width, height, plain=not payload[20] & 2)  # bit 1: an animation
    if kind == b"VP8L":
        bits = int.from_bytes(payload[21:25], "little")
        return Extent((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack("<HH", payload[26:30])
    return Extent(width & 0x3FFF, height & 0x3FFF)


def _gif(payload: bytes) -> Extent:
    width, height = struct.unpack("<HH", payload[6:10])
    return Extent(width, height, plain=False)  # only walking the frames shows how many there are


def _bmp(payload: bytes) -> Extent:
    width, height = struct.unpack("<ii", payload[18:26])
    return Extent(abs(width), abs(height))


def _tiff(payload: bytes) -> Extent:
    order = "<" if payload[:2] == b"II" else ">"
    at = struct.unpack(f"{order}I", payload[4:8])[0]
    count = min(struct.unpack(f"{order}H", payload[at : at + 2])[0], _TAGS)
    sides = {256: 0, 257: 0}
    for number in range(count):
        entry = payload[at + 2 + 12 * number : at + 14 + 12 * number]
        tag, kind = struct.unpack(f"{order}HH", entry[:4])
        if tag in sides:
            sides[tag] = struct.unpack(f"{order}{'H' if kind == 3 else 'I'}", entry[8 : 10 if kind == 3 else 12])[0]
    return Extent(sides[256], sides[257], plain=False)


def _avif(payload: bytes) -> Extent:
    head, at, width, height = payload[:_NEAR], 0, 0, 0
    while (at := head.find(b"ispe", at) + 4) > 3 and len(head) >= at + 12:
        found = struct.unpack(">II", head[at + 4 : at + 12])
        width, height = max(width, found[0]), max(height, found[1])
    return Extent(width, height, plain=False)


_READERS: tuple[tuple[bytes, Callable[[bytes], Extent]], ...] = (
    (b"\xff\xd8", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"RIFF", _webp),
    (b"GIF8", _gif),
    (b"BM", _bmp),
    (b"II*\x00", _tiff),
    (b"MM\x00*", _tiff),
)
