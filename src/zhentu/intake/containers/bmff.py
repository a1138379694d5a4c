"""ISO base media files (ISO 14496-12): AVIF, HEIC and boxed JPEG XL. EXIF and XMP items, C2PA, the colour coding."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from zhentu.intake.containers.block import MAX_BODY, MAX_STEPS, Block, BlockKind, ColourCoding

_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_MAX_METAS = 16  # a file has one (ISO 14496-12, 8.11.1)
_MAX_ITEMS, _MAX_EXTENTS = 4096, 64


@dataclass(frozen=True, slots=True)
class _Box:
    """kind: four letters. start: of its header.  body, end: the byte range of its content."""

    kind: bytes
    start: int
    body: int
    end: int


def blocks(payload: bytes) -> Iterator[Block]:
    """Metadata of the file: top-level boxes, then the items of its `meta` box."""
    for box in _of_file(payload):
        own = box.kind == b"uuid" and payload[box.body : box.body + 16] == _C2PA_UUID
        if own or (box.kind == b"jumb" and b"c2pa" in payload[box.body : box.body + 128]):
            yield Block(BlockKind.C2PA, box.start, box.end, b"")
        elif box.kind == b"xml ":  # JPEG XL
            yield Block(BlockKind.XMP, box.start, box.end, payload[box.body : min(box.end, box.body + MAX_BODY)])
        elif box.kind == b"Exif":
            yield _exif(payload[box.body : min(box.end, box.body + MAX_BODY)], box.start, box.end)
        elif box.kind == b"meta":
            yield from _items(payload, box)


def colour_coding(payload: bytes) -> ColourCoding | None:
    """How the pictures' values are coded, None if the file does not say."""
    for box in _properties(payload, b"colr"):
        if payload[box.body : box.body + 4] == b"nclx" and box.end - box.body >= 10:
            return ColourCoding(*struct.unpack_from(">HHH", payload, box.body + 4))
    return None


def bit_depth(payload: bytes) -> int:
    """Bits per channel, from AV1's configuration (av1C); 0 if the file does not say."""
    flags = [payload[box.body + 2] for box in _properties(payload, b"av1C") if box.end - box.body > 2]
    return max((12 if each & 0x20 else 10 if each & 0x40 else 8 for each in flags), default=0)


def has_gain_map(payload: bytes) -> bool:
    """Whether the file derives a tone-mapped picture (`tmap`, ISO 21496-1) from a gain map."""
    return any(b"tmap" in payload[box.body : box.end] for box in _in_meta(payload, (b"iinf",)))


def _properties(payload: bytes, kind: bytes) -> list[_Box]:
    return _in_meta(payload, (b"iprp", b"ipco", kind))


def _in_meta(payload: bytes, way: tuple[bytes, ...]) -> list[_Box]:
    place = [box for box in _of_file(payload) if box.kind == b"meta"]
    skip = 4  # `meta` is a full box: version and flags come first
    for kind in way:
        place = [box for each in place for box in _boxes(payload, each.body + skip, each.end) if box.kind == kind]
        skip = 0
    return place


def _of_file(payload: bytes) -> Iterator[_Box]:
    """The boxes of the file itself, without further `meta` boxes than _MAX_METAS."""
    metas = 0
    for box in _boxes(payload, 0, len(payload)):
        metas += box.kind == b"meta"
        if box.kind != b"meta" or metas <= _MAX_METAS:
            yield box


def _boxes(payload: bytes, start: int, end: int) -> Iterator[_Box]:
    for _ in range(MAX_STEPS):
        if start + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", payload, start)
        body = start + 8
        if length == 1 and start + 16 <= end:
            (length,) = struct.unpack_from(">Q", payload, body)
            body = start + 16
        stop = end if length == 0 else min(start + length, end)
        if stop < body:
            return
        yield _Box(kind, start, body, stop)
        start = stop


def _items(payload: bytes, meta: _Box) -> Iterator[Block]:
    inside = {box.kind: box for box in _boxes(payload, meta.body + 4, meta.end)}
    if b"iinf" not in inside or b"iloc" not in inside:
        return
    kinds = dict(_kinds(payload, inside[b"iinf"]))
    idat = inside[b"idat"].body if b"idat" in inside else -1
    try:
        for item, extents in _places(payload, inside[b"iloc"], kinds, idat):
            body = _joined(payload, extents)
            start, stop = extents[0] if len(extents) == 1 else (0, 0)
            if kinds[item] is BlockKind.EXIF:
                yield _exif(body, start, stop)
            else:
                yield Block(BlockKind.XMP, start, stop, body)
    except struct.error:  # a table that ends early; keep what was read
        return


def _joined(payload: bytes, extents: Iterable[tuple[int, int]]) -> bytes:
    """The first MAX_BODY bytes of an item; its extents may overlap and name the whole file many times over."""
    body = bytearray()
    for start, stop in extents:
        body += payload[start : min(stop, start + MAX_BODY - len(body))]
    return bytes(body)


def _exif(body: bytes, start: int, end: int) -> Block:
    """An EXIF item begins with the offset of its TIFF header."""
    skipped = int.from_bytes(body[:4], "big")
    tiff = body[4 + skipped :] if skipped < len(body) else b""
    if not tiff.startswith((b"II", b"MM")):  # some writers forget the offset
        tiff = body.removeprefix(b"\x00\x00\x00\x00").removeprefix(b"Exif\x00\x00")
    return Block(BlockKind.EXIF, start, end, tiff)


def _kinds(payload: bytes, iinf: _Box) -> Iterator[tuple[int, BlockKind]]:
    """Item numbers of EXIF and XMP."""
    version = payload[iinf.body] if iinf.body < iinf.end else 0
    start = iinf.body + (6 if version == 0 else 8)
    for count, box in enumerate(_boxes(payload, start, iinf.end)):
        if count >= _MAX_ITEMS or box.kind != b"infe":
            return
        version = payload[box.body] if box.body < box.end else 0
        if version not in (2, 3) or box.end - box.body < 12:
            continue
        wide = 4 if version == 3 else 2
        item = int.from_bytes(payload[box.body + 4 : box.body + 4 + wide], "big")
        kind = payload[box.body + 6 + wide : box.body + 10 + wide]
        rest = payload[box.body + 10 + wide : min(box.end, box.body + 400)]
        if kind == b"Exif":
            yield item, BlockKind.EXIF
        elif kind == b"mime" and b"application/rdf+xml" in rest:
            yield item, BlockKind.XMP


def _places(
    payload: bytes, iloc: _Box, wanted: Mapping[int, BlockKind], idat: int
) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Byte ranges of the wanted items (ISO 14496-12, 8.11.3). Raises struct.error at the end of the table."""
    version, sizes = payload[iloc.body], payload[iloc.body + 4 : iloc.body + 6]
    offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_size = sizes[1] & 15 if version in (1, 2) else 0
    position = iloc.body + 6

    def number(size: int) -> int:
        nonlocal position
        if position + size > iloc.end:
            raise struct.error
        position += size
        return int.from_bytes(payload[position - size : position], "big")

    for _ in range(min(number(4 if version == 2 else 2), _MAX_ITEMS)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version in (1, 2) else 0
        number(2)  # data reference
        base, extents = number(base_size), []
        for _ in range(min(number(2), _MAX_EXTENTS)):
            number(index_size)
            start, length = base + number(offset_size), number(length_size)
            start += idat if method == 1 else 0
            if method in (0, 1) and start >= 0:
                extents.append((min(start, len(payload)), min(start + length, len(payload))))
        if item in wanted and extents:
            yield item, extents
