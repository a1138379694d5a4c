"""The metadata of a file, as bounded text: XMP properties, EXIF tags, PNG text, loose segments and comments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from zhentu.intake.containers import Block, BlockKind, walk
from zhentu.intake.containers.block import MAX_BODY
from zhentu.intake.exif import Exif, parse_exif
from zhentu.intake.packet import Packet, parse_packet

MAX_TEXT = 256 * 1024
_CREDIT = re.compile(rb"\x1c\x02\x6e(..)", re.S)  # IPTC IIM 2:110


@dataclass(frozen=True, slots=True)
class Metadata:
    """packets: XMP, in file order.  exif: merged, first occurrence wins.  text: PNG text by keyword.

    loose: (place, text) of other segments and comments that may hold a bare AIGC label.  credit: IPTC IIM Credit.
    has_c2pa: a C2PA manifest stands where the format puts one.  blocks: where all of it stands.
    """

    packets: tuple[Packet, ...] = ()
    exif: Exif = field(default_factory=Exif)
    text: Mapping[str, str] = field(default_factory=dict)
    loose: tuple[tuple[str, str], ...] = ()
    credit: str = ""
    has_c2pa: bool = False
    blocks: tuple[Block, ...] = ()


def read_metadata(payload: bytes, picture_format: str) -> Metadata:
    """Collect what a file says; a block that cannot be read is left out."""
    blocks = walk(payload, picture_format)
    exif = Exif()
    text: dict[str, str] = {}
    loose, iptc = [], []
    packets = [block.body for block in blocks if block.kind is BlockKind.XMP]
    for block in blocks:
        if block.kind is BlockKind.EXIF:
            exif = _merged(exif, parse_exif(block.body))
        elif block.kind is BlockKind.TEXT:
            text.setdefault(block.key[:79], block.body[:MAX_TEXT].decode("utf-8", "replace"))
        elif block.kind is BlockKind.IPTC:
            iptc.append(block.body)
        elif block.kind is BlockKind.OTHER and block.body:
            place = "comment" if block.key == "comment" else f"JPEG {block.key}"
            loose.append((place, block.body[:MAX_TEXT].decode("utf-8", "replace")))
    if exif.xmp:
        packets.append(exif.xmp)
    packets += extended_packets(blocks)
    if not packets:
        packets += _stray(payload)
    return Metadata(
        packets=tuple(parse_packet(packet) for packet in dict.fromkeys(packets)),
        exif=exif,
        text=text,
        loose=tuple(loose),
        credit=_credit([*iptc, exif.iptc]),
        has_c2pa=exif.has_c2pa or any(block.kind is BlockKind.C2PA for block in blocks),
        blocks=blocks,
    )


def _merged(first: Exif, second: Exif) -> Exif:
    return Exif(
        {**second.text, **first.text},
        {**second.places, **first.places},
        first.xmp or second.xmp,
        first.iptc or second.iptc,
        first.has_c2pa or second.has_c2pa,
    )


def extended_packets(blocks: tuple[Block, ...]) -> list[bytes]:
    """JPEG's extended XMP (XMP specification part 3, 1.1.3.1): parts of one packet, each with its offset."""
    parts = sorted(
        (int.from_bytes(block.body[36:40], "big"), block.body[40:])
        for block in blocks
        if block.kind is BlockKind.XMP_EXTENDED
    )
    body = b"".join(part for _, part in parts)[:MAX_BODY]
    return [body] if body else []


def _stray(payload: bytes) -> list[bytes]:
    """A packet that stands where its format does not put it, found by its own markers."""
    start = payload.find(b"<x:xmpmeta")
    end = payload.find(b"</x:xmpmeta>", start, start + MAX_BODY) if start >= 0 else -1
    return [payload[start : end + 12]] if end >= 0 else []


def _credit(blocks: list[bytes]) -> str:
    for block in blocks:
        if match := _CREDIT.search(block):
            length = int.from_bytes(match.group(1), "big")
            return block[match.end() : match.end() + min(length, 1024)].decode("utf-8", "replace")
    return ""
