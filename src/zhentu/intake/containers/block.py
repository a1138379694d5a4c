"""One block of metadata, and the limits all walkers keep."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_BODY = 1024 * 1024  # bytes of one block that are looked at
MAX_TOTAL = 8 * MAX_BODY  # bytes of all blocks together
MAX_BLOCKS = 256  # blocks returned
MAX_STEPS = 200_000  # segments, chunks or sub-blocks walked over


class BlockKind(StrEnum):
    """What a block holds."""

    XMP = "XMP"
    XMP_EXTENDED = "extended XMP"
    EXIF = "EXIF"
    IPTC = "IPTC"
    TEXT = "text"
    C2PA = "C2PA"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a file.

    start, end: byte range of the whole segment, chunk or extension in the file, framing included.
    body: its content without framing, decompressed, cut at MAX_BODY.  key: PNG keyword or application identifier.
    """

    kind: BlockKind
    start: int
    end: int
    body: bytes
    key: str = ""


@dataclass(frozen=True, slots=True)
class ColourCoding:
    """How values are coded: code points of ITU-T H.273, from an `nclx` box or a `cICP` chunk."""

    primaries: int
    transfer: int
    matrix: int

    @property
    def curve(self) -> str:
        """The name of a high dynamic range curve, empty for an ordinary one."""
        return {16: "PQ", 18: "HLG"}.get(self.transfer, "")
