"""GIF89a extensions: XMP (with Adobe's magic trailer), comments, C2PA."""

from __future__ import annotations

from collections.abc import Iterator

from zhentu.intake.containers.block import MAX_BLOCKS, MAX_BODY, MAX_STEPS, Block, BlockKind

XMP_APPLICATION = b"XMP DataXMP"
# Read as sub-block lengths from any position, these bytes lead to a zero, and the zero after it ends the extension.
MAGIC_TRAILER = b"\x01" + bytes(range(255, -1, -1))


def blocks(payload: bytes) -> Iterator[Block]:
    """Application and comment extensions, in file order."""
    position = first_block(payload)
    steps = MAX_STEPS
    while steps > 0 and position < len(payload):
        introducer = payload[position : position + 1]
        if introducer == b"\x2c":  # an image: descriptor, colour table, code size, sub-blocks
            flags = payload[position + 9 : position + 10]
            if not flags:
                return
            table = 3 << ((flags[0] & 7) + 1) if flags[0] & 0x80 else 0
            position, steps = _skip(payload, position + 11 + table, steps)
        elif introducer == b"\x21":
            start, label = position, payload[position + 1 : position + 2]
            size = payload[position + 2 : position + 3]
            application = payload[position + 3 : position + 14] if label == b"\xff" and size == b"\x0b" else b""
            data = position + 14 if application else position + 2
            position, steps = _skip(payload, data, steps)
            if application == XMP_APPLICATION:
                body = payload[data : min(position, data + MAX_BODY)].rstrip(b"\x00") + b"\x00"
                yield Block(BlockKind.XMP, start, position, body.removesuffix(MAGIC_TRAILER))
            elif application.startswith(b"C2PA_GIF"):
                yield Block(BlockKind.C2PA, start, position, b"")
            elif label == b"\xfe":
                body = payload[data + 1 : min(position, data + MAX_BODY)]
                yield Block(BlockKind.OTHER, start, position, body, "comment")
        else:
            return


def first_block(payload: bytes) -> int:
    """Where the blocks begin: after the screen descriptor and the global colour table."""
    flags = payload[10] if len(payload) > 10 else 0
    return 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)


def first_picture(payload: bytes) -> int:
    """Start of the first picture, or of the control extension before it; the loop extension stays in front."""
    position, steps = first_block(payload), MAX_STEPS
    for _ in range(MAX_BLOCKS):
        if payload[position : position + 1] != b"\x21" or payload[position + 1 : position + 2] == b"\xf9":
            break
        position, steps = _skip(payload, position + 2, steps)
    return position


def _skip(payload: bytes, position: int, steps: int) -> tuple[int, int]:
    while steps > 0 and position < len(payload) and payload[position]:
        position += payload[position] + 1
        steps -= 1
    return position + 1, steps - 1
