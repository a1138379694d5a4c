"""Remove old labels from wherever they are, and leave everything else."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from zhentu.errors import LabelUnwritable
from zhentu.intake.aigc import AigcLabel, labels_of_texts
from zhentu.intake.containers import Block, BlockKind
from zhentu.intake.containers.jpeg import EXIF_HEADER
from zhentu.intake.exif import parse_exif
from zhentu.intake.iptc import parse_iptc
from zhentu.intake.metadata import Text
from zhentu.mark.splice import Edits

_IPTC_TAG = 33723
_REACHED = ("JPEG", "MPO", "PNG", "WEBP")  # EXIF is in one piece there, at a known place
_EMPTY_COMMENT = b"ASCII\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class Removal:
    """dropped: blocks to remove.  edits: bytes to overwrite in place.  notes: what was lost with them."""

    dropped: tuple[Block, ...]
    edits: Edits
    notes: tuple[str, ...]


def removal(payload: bytes, picture_format: str, labels: Sequence[AigcLabel]) -> Removal:
    """How the labels outside XMP are taken out of a file. Raises LabelUnwritable if one cannot be reached."""
    dropped: dict[int, Block] = {}
    blanked: dict[int, tuple[Block, list[AigcLabel]]] = {}
    notes = []
    for label in labels:
        block = label.carrier.block if label.carrier else None
        if block is None:
            continue
        if block.kind in (BlockKind.EXIF, BlockKind.IPTC):
            blanked.setdefault(block.start, (block, []))[1].append(label)
        else:
            dropped[block.start] = block
        if label.rest and (block.kind not in (BlockKind.EXIF, BlockKind.IPTC) or not _span(label, block.body)):
            notes.append(f"the rest of {label.location} was removed with the label in it")
    edits: Edits = []
    for block, held in blanked.values():
        edits += _overwritten(payload, picture_format, block, _blanked(block.body, held))
    return Removal(tuple(dropped.values()), edits, tuple(dict.fromkeys(notes)))


def cleared_exif(block: bytes) -> bytes:
    """An EXIF block with its labels overwritten: no offset moves, so maker notes and thumbnails stay whole."""
    if block.startswith(EXIF_HEADER):
        return EXIF_HEADER + cleared_exif(block.removeprefix(EXIF_HEADER))
    texts = (Text(f"EXIF {each.name}", each.text, None, each.start, each.end) for each in parse_exif(block).fields)
    return _blanked(block, list(labels_of_texts(texts)))


def labelled_tags(block: bytes) -> set[int]:
    """The tags of a TIFF structure that hold a label."""
    exif = parse_exif(block)
    found = {each.tag for each in exif.fields if any(labels_of_texts([Text(f"EXIF {each.name}", each.text)]))}
    if any(labels_of_texts(Text(f"IPTC {each.name}", each.text) for each in parse_iptc(exif.iptc))):
        found.add(_IPTC_TAG)
    return found


def _blanked(body: bytes, labels: Sequence[AigcLabel]) -> bytes:
    """Labels overwritten: with spaces if there is other text in the field, otherwise the whole field with zeros."""
    cleared = bytearray(body)
    for label in labels:
        if label.carrier is None:
            continue
        start, end = label.carrier.start, label.carrier.end
        span = _span(label, body) if label.rest else None
        if span is not None:
            cleared[span[0] : span[1]] = b" " * (span[1] - span[0])
        elif label.carrier.place.startswith("IPTC"):
            cleared[start:end] = b" " * (end - start)
        else:
            empty = _EMPTY_COMMENT if label.carrier.place == "EXIF UserComment" else b""
            cleared[start:end] = empty[: end - start].ljust(end - start, b"\x00")
    return bytes(cleared)


def _span(label: AigcLabel, body: bytes) -> tuple[int, int] | None:
    """Where a label's own bytes are within its field; None if they are not found there as 8-bit text."""
    if label.carrier is None or not label.verbatim or label.schema:
        return None
    wanted = label.verbatim.encode()
    start = body.find(wanted, label.carrier.start, label.carrier.end)
    return (start, start + len(wanted)) if start >= 0 else None


def _overwritten(payload: bytes, picture_format: str, block: Block, cleared: bytes) -> Edits:
    if cleared == block.body:
        return []
    if picture_format not in _REACHED or block.key:
        raise LabelUnwritable("an older label is in EXIF where zhentu cannot reach it; export the picture again")
    begin = payload.find(block.body, block.start, block.end)
    edits: Edits = [(begin, begin + len(cleared), cleared)]
    if picture_format == "PNG":
        behind = payload[begin + len(cleared) : block.end - 4]
        crc = binascii.crc32(b"eXIf" + payload[block.start + 8 : begin] + cleared + behind)
        edits.append((block.end - 4, block.end, struct.pack(">I", crc)))
    return edits
