"""One entry point for all formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from zhentu.intake.containers import bmff, gif, jpeg, png, webp
from zhentu.intake.containers.block import MAX_BLOCKS, MAX_TOTAL, Block, BlockKind


def walk(payload: bytes, picture_format: str) -> tuple[Block, ...]:
    """The metadata blocks of a file, at most MAX_BLOCKS of them and about MAX_TOTAL bytes."""
    walker = _WALKERS.get(picture_format)
    found: list[Block] = []
    total = 0
    for block in walker(payload) if walker else ():
        found.append(block)
        total += 0 if block.body is payload else len(block.body)  # a whole TIFF is returned uncopied
        if len(found) >= MAX_BLOCKS or total > MAX_TOTAL:
            break
    return tuple(found)


def _tiff(payload: bytes) -> Iterator[Block]:
    yield Block(BlockKind.EXIF, 0, len(payload), payload)


_WALKERS: Mapping[str, Callable[[bytes], Iterator[Block]]] = {
    "JPEG": jpeg.blocks,
    "MPO": jpeg.blocks,
    "PNG": png.blocks,
    "WEBP": webp.blocks,
    "GIF": gif.blocks,
    "AVIF": bmff.blocks,
    "HEIF": bmff.blocks,
    "HEIC": bmff.blocks,
    "JXL": bmff.blocks,
    "TIFF": _tiff,
}
