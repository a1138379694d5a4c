"""Gain maps of HDR JPEGs (Ultra HDR, ISO 21496-1, Apple) and other pictures after the first one, indexed by MPF.

CIPA DC-007: an APP2 segment holds a TIFF structure that lists the pictures of a file, each with its length and its
distance from that structure. Writing metadata moves what it points at, so the list is corrected; painting the visible
label makes the gain map wrong, so the map is removed with everything that announces it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from zhentu.intake.containers import Block, BlockKind, jpeg
from zhentu.intake.packet import Packet, Property

_MPF = b"MPF\x00"
_ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\x00"
_ENTRIES_TAG, _ENTRY = 0xB002, 16
_MAX_TAGS, _MAX_PICTURES = 64, 64
_HDR_NAMESPACES = (
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/container/item/",
    "http://ns.apple.com/HDRGainMap/1.0/",
    "http://ns.apple.com/pixeldatainfo/1.0/",
)
_GAIN_MAP_MARKS = (b"http://ns.adobe.com/hdr-gain-map/1.0/", b"http://ns.apple.com/HDRGainMap/1.0/", b"GainMap")
_CAMERA_NAMESPACE = "http://ns.google.com/photos/1.0/camera/"
_CAMERA_NAMES = ("MotionPhoto", "MicroVideo")  # the video of a motion photo is also after the picture
_DECLARED = re.compile(  # from a run's first space on, not from each: a packet may hold a megabyte of padding
    rb"""(?<!\s)\s++xmlns:[\w.-]{1,64}\s*=\s*["'](?:%s)["']"""
    % b"|".join(re.escape(each.encode()) for each in _HDR_NAMESPACES)
)


@dataclass(frozen=True, slots=True)
class _Index:
    """base: what offsets count from.  order: its byte order.  place: where its entries are.  count: of entries."""

    base: int
    order: str
    place: int
    count: int


def corrected(before: bytes, after: bytes) -> bytes:
    """`after` with its MPF index corrected: metadata of the first picture changed, what follows it only moved."""
    old, new = _index(before), _index(after)
    if old is None or new is None or (old.order, old.count) != (new.order, new.count):
        return after
    moved = len(after) - len(before)
    written = bytearray(after)
    for number in range(new.count):
        at = new.place + number * _ENTRY + 4
        length, offset = struct.unpack_from(new.order + "II", written, at)
        if number == 0:
            length = max(length + moved, 0) if length else 0
        elif offset:
            offset = max(old.base + offset + moved - new.base, 0)
        struct.pack_into(new.order + "II", written, at, length & 0xFFFFFFFF, offset & 0xFFFFFFFF)
    return bytes(written)


def announces(block: Block) -> bool:
    """Whether a JPEG segment announces a gain map or pictures after the first one."""
    return block.body.startswith((_MPF, _ISO_GAIN_MAP))


def has_gain_map(payload: bytes) -> bool:
    """Whether a JPEG announces a gain map by ISO 21496-1 or in XMP."""
    return any(
        block.body.startswith(_ISO_GAIN_MAP)
        or (block.kind is BlockKind.XMP and any(each in block.body for each in _GAIN_MAP_MARKS))
        for block in jpeg.blocks(payload)
    )


def hdr_properties(packet: Packet) -> list[Property]:
    """The properties of a packet that announce a gain map, or a video after the picture."""
    return [
        each
        for each in packet.properties
        if each.namespace in _HDR_NAMESPACES
        or (each.namespace == _CAMERA_NAMESPACE and each.name.startswith(_CAMERA_NAMES))
    ]


def without_declarations(body: bytes) -> bytes:
    """A packet without the namespaces of gain maps, once it no longer uses them."""
    return _DECLARED.sub(b"", body)


def _index(payload: bytes) -> _Index | None:
    """The MPF index of a JPEG, None if there is none that can be read."""
    for block in jpeg.blocks(payload):
        if block.key == "APP2" and block.body.startswith(_MPF):
            base = payload.index(block.body, block.start, block.end) + len(_MPF)
            try:
                return next(_entries(payload, base, block.end), None)
            except struct.error:
                return None
    return None


def _entries(payload: bytes, base: int, end: int) -> Iterator[_Index]:
    order = {b"II": "<", b"MM": ">"}.get(payload[base : base + 2])
    if order is None:
        return
    (first,) = struct.unpack_from(order + "I", payload, base + 4)
    (count,) = struct.unpack_from(order + "H", payload, base + first)
    for number in range(min(count, _MAX_TAGS)):
        tag, _, size, offset = struct.unpack_from(order + "HHII", payload, base + first + 2 + number * 12)
        pictures = size // _ENTRY
        if tag == _ENTRIES_TAG and 0 < pictures <= _MAX_PICTURES and base + offset + size <= end:
            yield _Index(base, order, base + offset, pictures)
