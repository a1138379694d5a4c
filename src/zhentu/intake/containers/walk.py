"""One entry for all formats."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping

from PIL import Image

from zhentu.intake.containers import gif, jpeg, png, webp
from zhentu.intake.containers.block import MAX_BLOCKS, MAX_BODY, MAX_STEPS, MAX_TOTAL, Block, BlockKind

_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def walk(payload: bytes, picture_format: str) -> tuple[Block, ...]:
    """The metadata blocks of a file, at most MAX_BLOCKS of them and about MAX_TOTAL bytes."""
    walker = _WALKERS.get(picture_format)
    found: list[Block] = []
    total = 0
    for block in walker(payload) if walker else ():
        found.append(block)
        total += len(block.body) if len(block.body) <= MAX_BODY else 0  # a whole TIFF is handed out uncopied
        if len(found) >= MAX_BLOCKS or total > MAX_TOTAL:
            break
    return tuple(found)


def _avif(payload: bytes) -> Iterator[Block]:
    """EXIF and XMP items as Pillow's libavif finds them; C2PA stands in a box of its own at the top level."""
    position = 0
    for _ in range(MAX_STEPS):
        if position + 8 > len(payload):
            break
        length, kind = struct.unpack_from(">I4s", payload, position)
        if length == 1 and position + 16 <= len(payload):
            (length,) = struct.unpack_from(">Q", payload, position + 8)
        if kind == b"uuid" and payload[position + 8 : position + 24] == _C2PA_UUID:
            yield Block(BlockKind.C2PA, position, position + length, b"")
        if length < 8:
            break
        position += length
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(payload), formats=("AVIF",)) as image:
                found = [(BlockKind.EXIF, image.info.get("exif")), (BlockKind.XMP, image.info.get("xmp"))]
        except Exception:  # the decoder has already judged the picture; here only what can be read counts
            return
    for each, body in found:
        if isinstance(body, bytes):
            yield Block(each, 0, 0, body[:MAX_BODY].removeprefix(b"Exif\x00\x00"))


def _tiff(payload: bytes) -> Iterator[Block]:
    yield Block(BlockKind.EXIF, 0, len(payload), payload)


_WALKERS: Mapping[str, Callable[[bytes], Iterator[Block]]] = {
    "JPEG": jpeg.blocks,
    "MPO": jpeg.blocks,
    "PNG": png.blocks,
    "WEBP": webp.blocks,
    "GIF": gif.blocks,
    "AVIF": _avif,
    "TIFF": _tiff,
}
