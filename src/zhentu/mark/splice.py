"""Put an XMP packet into a file and remove other blocks, without touching a byte of the picture itself."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Iterable, Mapping

from zhentu.errors import LabelUnwritable
from zhentu.intake.containers import Block, gif, jpeg, png, webp
from zhentu.mark.gainmap import corrected
from zhentu.mark.packet_edit import without_padding

Edits = list[tuple[int, int, bytes]]  # (start, end, replacement) of byte ranges that do not overlap
_VP8X_XMP, _VP8X_ALPHA = 0x04, 0x10


def put_packet(
    payload: bytes, picture_format: str, packet: bytes, old: Block | None, dropped: Iterable[Block]
) -> bytes:
    """The file with `packet` in place of `old` (or where the format requires it) and without the `dropped` blocks.

    Raises LabelUnwritable if the format takes no packet or this one is too long for it.
    """
    writer = _WRITERS.get(picture_format)
    if writer is None:
        raise LabelUnwritable(
            f"zhentu writes metadata without touching the pixels into {', '.join(sorted(_WRITERS))}, not into "
            f"{picture_format}; convert the picture, or ask for the visible label too, which encodes it anew"
        )
    edits: Edits = [(block.start, block.end, b"") for block in dropped]
    return writer(payload, packet, old, edits)


def apply(payload: bytes, edits: Edits) -> bytes:
    """Replace byte ranges; insertions have start == end."""
    parts, position = [], 0
    for start, end, replacement in sorted(edits, key=lambda edit: edit[:2]):
        parts += [payload[position:start], replacement]
        position = max(end, position)
    return b"".join([*parts, payload[position:]])


def _jpeg(payload: bytes, packet: bytes, old: Block | None, edits: Edits) -> bytes:
    most = 65_533 - len(jpeg.XMP_HEADER)
    if len(packet) > most:
        packet = without_padding(packet)
    if len(packet) > most:
        raise LabelUnwritable(
            f"with the label the XMP packet has {len(packet)} bytes, a JPEG segment takes {most}; export the picture "
            "with less metadata"
        )
    body = jpeg.XMP_HEADER + packet
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    place = (old.start, old.end) if old else (_behind_headers(payload),) * 2
    return corrected(payload, apply(payload, [*edits, (*place, segment)]))


def _behind_headers(payload: bytes) -> int:
    """After JFIF and EXIF, which must come first."""
    place = 2
    for block in jpeg.blocks(payload):
        if block.start != place or not (block.key == "APP0" or block.kind.value == "EXIF"):
            break
        place = block.end
    return place


def _png(payload: bytes, packet: bytes, old: Block | None, edits: Edits) -> bytes:
    body = b"iTXt" + png.XMP_KEYWORD.encode() + b"\x00\x00\x00\x00\x00" + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", binascii.crc32(body))
    if old:
        return apply(payload, [*edits, (old.start, old.end, chunk)])
    place = next((start for kind, start, _ in png.chunks(payload) if kind in (b"IDAT", b"IEND")), None)
    if place is None:
        raise LabelUnwritable("the PNG has no pixel chunk; export the picture again")
    return apply(payload, [*edits, (place, place, chunk)])


def _webp(payload: bytes, packet: bytes, old: Block | None, edits: Edits) -> bytes:
    chunk = b"XMP " + struct.pack("<I", len(packet)) + packet + b"\x00" * (len(packet) % 2)
    found = list(webp.chunks(payload))
    if not found:
        raise LabelUnwritable("the WebP holds no chunk; export the picture again")
    kind, start, end = found[0]
    if kind == b"VP8X":
        flags = payload[start + 8]
        edits = [*edits, (start + 8, start + 9, bytes([flags | _VP8X_XMP]))]
    else:
        edits = [*edits, (start, start, _vp8x(payload, kind, start))]
    if old:
        edits.append((old.start, old.end, chunk))
    else:  # after the pixels and EXIF, before chunks unknown to the standard (C2PA)
        known = [each for each in found if each[0] in (b"VP8 ", b"VP8L", b"ANMF", b"EXIF")]
        place = known[-1][2] if known else end
        if place % 2:  # a last chunk whose padding byte was cut off
            raise LabelUnwritable("the WebP ends within a chunk; export the picture again")
        edits.append((place, place, chunk))
    written = apply(payload, edits)
    declared = int.from_bytes(payload[4:8], "little") + len(written) - len(payload)
    return written[:4] + max(declared, 0).to_bytes(4, "little") + written[8:]


def _vp8x(payload: bytes, kind: bytes, start: int) -> bytes:
    """The extended header that a simple WebP lacks; its size is in the picture's own header (RFC 9649, RFC 6386)."""
    if kind == b"VP8L" and payload[start + 8 : start + 9] == b"\x2f":
        bits = int.from_bytes(payload[start + 9 : start + 13], "little")
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    elif kind == b"VP8 " and payload[start + 11 : start + 14] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", payload, start + 14))
        alpha = 0
    else:
        raise LabelUnwritable("the WebP's picture header cannot be read; export the picture again")
    flags = _VP8X_XMP | (_VP8X_ALPHA if alpha else 0)
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + sides


def _gif(payload: bytes, packet: bytes, old: Block | None, edits: Edits) -> bytes:
    extension = b"\x21\xff\x0b" + gif.XMP_APPLICATION + packet + gif.MAGIC_TRAILER + b"\x00"
    place = (old.start, old.end) if old else (gif.first_picture(payload),) * 2
    written = apply(payload, [*edits, (*place, extension)])
    return b"GIF89a" + written[6:]  # extensions came with 89a


_WRITERS: Mapping[str, Callable[[bytes, bytes, Block | None, Edits], bytes]] = {
    "JPEG": _jpeg,
    "MPO": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
}
