"""The implicit AIGC label: what it must say, and writing it so that a file carries exactly one.

GB 45438-2025 Annex E gives the object, TC260-PG-20259A its place (XMP property TC260:AIGC, unwrapped). Measures
Art. 6: a platform's first write fills ContentPropagator and PropagateID.
"""

from __future__ import annotations

import binascii
import json
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from zhentu.errors import LabelUnwritable
from zhentu.intake.aigc import KEYS, MAX_LABEL, NAMESPACE, AigcLabel, bare_labels, find_labels
from zhentu.intake.containers import Block, BlockKind
from zhentu.intake.containers.block import MAX_BODY
from zhentu.intake.containers.jpeg import EXIF_HEADER
from zhentu.intake.exif import parse_exif
from zhentu.intake.metadata import MAX_TEXT, Metadata, extended_packets, read_metadata
from zhentu.intake.packet import Packet, parse_packet
from zhentu.mark.packet_edit import set_properties
from zhentu.mark.spec import LabelSpec
from zhentu.mark.splice import Edits, apply, put_packet
from zhentu.types import AiState

PREFIX = "TC260"
MARK_NAMESPACE, MARK_PREFIX, MARK_NAME = "urn:zhentu:ns:mark:1.0:", "zhentu", "VisibleLabel"
_MAX_FIELD = MAX_LABEL // 8
_EXIF_NAMES = ("UserComment", "ImageDescription")


@dataclass(frozen=True, slots=True)
class Written:
    """A file after writing. changed: its bytes are others than before.  notes: what an operator should know."""

    payload: bytes
    changed: bool
    notes: tuple[str, ...] = ()


def existing_labels(metadata: Metadata) -> tuple[AigcLabel, ...]:
    """The labels of a file that can be read."""
    return tuple(label for label in find_labels(metadata) if isinstance(label, AigcLabel))


def wanted_label(existing: Sequence[AigcLabel], state: AiState, spec: LabelSpec, content_id: str) -> AigcLabel:
    """The label a file must carry: its own one's fields kept, the platform's filled in, the surest state.

    Of several labels the one in the standard's place leads; fields it leaves empty come from the others. What others
    wrote is carried as it stands, even with characters the standard does not allow: `problems()` tells of them.
    """
    ordered = sorted(existing, key=lambda label: (not label.standard, label.state is None))
    fields = dict.fromkeys(KEYS, "")
    for label in ordered:
        for key, value in label.fields:
            key = "ContentProducer" if key == "ServiceProvider" else key  # an older draft's name for it
            if key in fields and not fields[key] and len(value) <= _MAX_FIELD:
                fields[key] = value
    fields["Label"] = str(int(surest(existing, state)))
    if not fields["ContentProducer"] and state in spec.producer_states:
        fields["ContentProducer"], fields["ProduceID"] = spec.producer, fields["ProduceID"] or spec.produce_id
    ours = fields["ContentPropagator"] == spec.propagator
    if not fields["ContentPropagator"] or (spec.replace_propagator and not ours):
        fields["ContentPropagator"], fields["PropagateID"] = spec.propagator, content_id
    elif ours and not fields["PropagateID"]:
        fields["PropagateID"] = content_id
    return AigcLabel(tuple(fields.items()), "XMP TC260:AIGC", standard=True)


def surest(existing: Sequence[AigcLabel], state: AiState) -> AiState:
    """A label is carried through and never weakened: the lowest of its value and the state now found."""
    return min([state, *(label.state for label in existing if label.state is not None)])


def is_settled(metadata: Metadata, label: AigcLabel) -> bool:
    """Whether the file carries this label, and only it."""
    found = list(find_labels(metadata))
    return len(found) == 1 and found[0] == label


def write(payload: bytes, picture_format: str, label: AigcLabel | None, mark: str | None) -> Written:
    """Write the AIGC label and, given one, the note about the visible label; pixels are not touched.

    Every older label of the file goes, wherever it stands: one file, one label. Raises LabelUnwritable.
    """
    metadata = read_metadata(payload, picture_format)
    names = {name for name, given in (("AIGC", label), (MARK_NAME, mark)) if given is not None}
    old = [block for block in metadata.blocks if block.kind is BlockKind.XMP]
    if any(len(block.body) >= MAX_BODY for block in old):
        raise LabelUnwritable(f"the XMP packet is beyond {MAX_BODY // 1024} KiB; export the picture with less metadata")
    notes = []
    first = parse_packet(old[0].body) if old else None
    if first is not None and not first.sound:
        notes.append("an XMP packet that could not be read was replaced")
    packet = packet_with(first, label, mark)
    # What follows the first packet is not what readers look at, but a label there would be a second one.
    dropped = [block for block in old[1:] if _tells(parse_packet(block.body), names)]
    blanked: Edits = []
    if label is not None:
        dropped += [block for block in metadata.blocks if _carries_label(block)]
        blanked = _blank_exif(payload, picture_format, metadata.blocks)
        if any(parse_packet(each).values("AIGC") for each in extended_packets(metadata.blocks)):
            dropped += [block for block in metadata.blocks if block.kind is BlockKind.XMP_EXTENDED]
            notes.append("extended XMP that held a second label was taken out")
    written = put_packet(apply(payload, blanked), picture_format, packet, old[0] if old else None, dropped)
    if label is not None and not is_settled(read_metadata(written, picture_format), label):
        raise LabelUnwritable("another label stands where zhentu cannot take it out; export the picture again")
    return Written(written, written != payload, tuple(notes))


def packet_with(packet: Packet | None, label: AigcLabel | None, mark: str | None) -> bytes:
    """A packet that says both things once, and whatever else it said before. Raises LabelUnwritable."""
    wanted = []
    if label is not None:
        wanted.append((PREFIX, NAMESPACE, "AIGC", json.dumps(dict(label.fields), separators=(",", ":"))))
    if mark is not None:
        wanted.append((MARK_PREFIX, MARK_NAMESPACE, MARK_NAME, mark))
    written = set_properties(packet, wanted)
    if not parse_packet(written).sound:
        raise LabelUnwritable("the label cannot be added to this XMP packet; export the picture without metadata")
    return written


def _tells(packet: Packet, names: Collection[str]) -> bool:
    broken = not packet.sound and bool(bare_labels(packet.body.decode("utf-8", "replace")))
    return broken or any(each.name in names for each in packet.properties)


def _carries_label(block: Block) -> bool:
    if block.kind is BlockKind.TEXT:
        return block.key == "AIGC"
    return block.kind is BlockKind.OTHER and bool(bare_labels(block.body[:MAX_TEXT].decode("utf-8", "replace")))


def cleared_exif(block: bytes) -> bytes:
    """An EXIF block with its labels overwritten by zeros: no offset moves, so maker notes and thumbnails stay whole."""
    if block.startswith(EXIF_HEADER):
        return EXIF_HEADER + cleared_exif(block.removeprefix(EXIF_HEADER))
    exif = parse_exif(block)
    cleared = bytearray(block)
    for name in _EXIF_NAMES:
        if "AIGC" in exif.text.get(name, ""):
            start, end = exif.places[name]
            empty = b"ASCII\x00\x00\x00" if name == "UserComment" else b""
            cleared[start:end] = empty[: end - start].ljust(end - start, b"\x00")
    return bytes(cleared)


def _blank_exif(payload: bytes, picture_format: str, blocks: Sequence[Block]) -> Edits:
    edits: Edits = []
    for block in blocks:
        if block.kind is not BlockKind.EXIF:
            continue
        cleared = cleared_exif(block.body)
        if cleared == block.body:
            continue
        if picture_format not in ("JPEG", "MPO", "PNG", "WEBP") or block.key:
            raise LabelUnwritable(
                "an older label stands in EXIF where zhentu cannot reach it; export the picture again"
            )
        begin = payload.find(block.body, block.start, block.end)
        edits.append((begin, begin + len(cleared), cleared))
        if picture_format == "PNG":
            behind = payload[begin + len(cleared) : block.end - 4]
            crc = binascii.crc32(b"eXIf" + payload[block.start + 8 : begin] + cleared + behind)
            edits.append((block.end - 4, block.end, struct.pack(">I", crc)))
    return edits
