"""WebP chunks (RFC 9649): EXIF, XMP, and C2PA's own."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from zhentu.intake.containers.block import MAX_BODY, MAX_STEPS, Block, BlockKind
from zhentu.intake.wording import foreign_text

_PIXELS = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_KINDS = {b"XMP ": BlockKind.XMP, b"EXIF": BlockKind.EXIF, b"C2PA": BlockKind.C2PA}


def blocks(payload: bytes) -> Iterator[Block]:
    """Metadata chunks, in file order."""
    for kind, start, end in chunks(payload):
        if kind in _KINDS:
            (length,) = struct.unpack_from("<I", payload, start + 4)
            body = payload[start + 8 : start + 8 + min(length, MAX_BODY)]
            yield Block(_KINDS[kind], start, end, body.removeprefix(b"Exif\x00\x00"))
        elif (
            kind not in _PIXELS and kind.isascii() and kind.decode().isprintable()
        ):  # private ones hold text, or nothing
            (length,) = struct.unpack_from("<I", payload, start + 4)
            body = foreign_text(payload[start + 8 : start + 8 + min(length, MAX_BODY)])
            if body:
                yield Block(BlockKind.OTHER, start, end, body, f"WebP chunk {kind.decode('latin-1')}")


def missing_bytes(payload: bytes) -> int:
    """How many of the bytes that its header promises a WebP lacks; 0 for other files."""
    if payload[:4] != b"RIFF" or payload[8:12] != b"WEBP":
        return 0
    (length,) = struct.unpack_from("<I", payload, 4)
    return int(max(8 + length - len(payload), 0))


def chunks(payload: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of every chunk, framing and padding included."""
    position = 12
    for _ in range(MAX_STEPS):
        if position + 8 > len(payload):
            return
        (length,) = struct.unpack_from("<I", payload, position + 4)
        end = position + 8 + length
        if end > len(payload):
            return
        end = min(end + length % 2, len(payload))
        yield payload[position : position + 4], position, end
        position = end
