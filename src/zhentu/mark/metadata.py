"""The implicit AIGC label: what it must say, and how it is written so that a file carries exactly one.

GB 45438-2025 Annex E gives the object, TC260-PG-20259A its place (XMP property TC260:AIGC, unwrapped). Measures
Art. 6: a platform's first write fills ContentPropagator and PropagateID.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from zhentu.errors import LabelUnwritable
from zhentu.intake.aigc import (
    KEYS,
    NAMESPACE,
    STANDARD_PLACE,
    AigcLabel,
    conforming,
    find_labels,
    label_properties,
)
from zhentu.intake.containers import BlockKind
from zhentu.intake.containers.block import MAX_BODY
from zhentu.intake.generators import GeneratorTable
from zhentu.intake.labeltext import hints_at_label
from zhentu.intake.metadata import Metadata, extended_packets, read_metadata
from zhentu.intake.packet import Packet, Property, parse_packet
from zhentu.mark.carriers import removal
from zhentu.mark.gainmap import hdr_properties, without_declarations
from zhentu.mark.packet_edit import mended, set_properties
from zhentu.mark.spec import LabelSpec
from zhentu.mark.splice import apply, put_packet
from zhentu.types import AiState

PREFIX = "TC260"
MARK_NAMESPACE, MARK_PREFIX, MARK_NAME = "urn:zhentu:ns:mark:1.0:", "zhentu", "VisibleLabel"
_MAX_FIELD = 12 * 1024  # characters; a JPEG segment must hold all of them
_ALLOWED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\%')


@dataclass(frozen=True, slots=True)
class Written:
    """A file after writing. changed: whether its bytes differ from before.  notes: what an operator should know."""

    payload: bytes
    changed: bool
    notes: tuple[str, ...] = ()


def existing_labels(metadata: Metadata, table: GeneratorTable | None = None) -> tuple[AigcLabel, ...]:
    """The labels of a file, in any form."""
    return tuple(find_labels(metadata, table))


def wanted_label(
    existing: Sequence[AigcLabel], state: AiState, spec: LabelSpec, content_id: str
) -> tuple[AigcLabel, tuple[str, ...]]:
    """The label a file must carry, and notes: its own fields are kept, the platform's filled in, the surest state wins.

    If there are several labels, the one in the standard's place leads; fields it leaves empty come from the others.
    Characters that the standard does not allow are percent-encoded (RFC 3986), so that nothing is lost and the label
    conforms.
    """
    ordered = sorted(existing, key=lambda label: (not label.standard, label.state is None))
    fields = dict.fromkeys(KEYS, "")
    notes = []
    for label in ordered:
        for key, value in label.carried.items():
            if fields[key] or not value:
                continue
            allowed = value if conforming(value) else quote(value, safe=_ALLOWED)
            if len(allowed) > _MAX_FIELD:
                notes.append(f"{key} of the older label has more than {_MAX_FIELD} characters and was left out")
                continue
            if allowed != value:
                notes.append(f"{key} held characters GB 45438-2025 does not allow; they are percent-encoded")
            fields[key] = allowed
    fields["Label"] = str(int(surest(existing, state)))
    if not fields["ContentProducer"] and state in spec.producer_states:
        fields["ContentProducer"], fields["ProduceID"] = spec.producer, fields["ProduceID"] or spec.produce_id
    ours = fields["ContentPropagator"] == spec.propagator
    if not fields["ContentPropagator"] or (spec.replace_propagator and not ours):
        fields["ContentPropagator"], fields["PropagateID"] = spec.propagator, content_id
    elif ours and not fields["PropagateID"]:
        fields["PropagateID"] = content_id
    return AigcLabel(tuple(fields.items()), STANDARD_PLACE, standard=True), tuple(notes)


def surest(existing: Sequence[AigcLabel], state: AiState) -> AiState:
    """A label is carried through and never weakened: the lowest of its value and the state now found."""
    return min([state, *(label.state for label in existing if label.state is not None)])


def is_settled(metadata: Metadata, label: AigcLabel, table: GeneratorTable | None = None) -> bool:
    """Whether the file carries this label and no other."""
    found = list(find_labels(metadata, table))
    return len(found) == 1 and found[0] == label


def write(
    payload: bytes,
    picture_format: str,
    label: AigcLabel | None,
    mark: str | None,
    table: GeneratorTable | None = None,
    flat: bool = False,
) -> Written:
    """Write the AIGC label and, given one, the note about the visible label; pixels are not touched.

    Every older label in the file is removed: one file, one label.  flat: the picture has lost its gain map, so
    what announces one is removed.  Raises LabelUnwritable.
    """
    metadata = read_metadata(payload, picture_format)
    names = {name for name, given in (("AIGC", label), (MARK_NAME, mark)) if given is not None}
    old = [block for block in metadata.blocks if block.kind is BlockKind.XMP]
    if any(len(block.body) >= MAX_BODY for block in old):
        raise LabelUnwritable(f"the XMP packet is beyond {MAX_BODY // 1024} KiB; export the picture with less metadata")
    notes = []
    first = parse_packet(old[0].body) if old else None
    if first is not None and not first.sound:
        again = mended(first) if label is not None else None
        notes.append(
            "the unescaped label of an XMP packet was removed, the rest was kept"
            if again
            else "an XMP packet that could not be read was replaced"
        )
        first = again or first
    stale = hdr_properties(first) if first and flat else []
    # Readers only look at the first packet, but a label in a later one would be a second label.
    dropped = [block for block in old[1:] if _tells(parse_packet(block.body), names, table)]
    edits = []
    if label is not None:
        taken = removal(payload, picture_format, list(find_labels(metadata, table)))
        dropped += taken.dropped
        edits = taken.edits
        notes += taken.notes
        if any(label_properties(parse_packet(each), table) for each in extended_packets(metadata.blocks)):
            dropped += [block for block in metadata.blocks if block.kind is BlockKind.XMP_EXTENDED]
            stale += [each for each in first.properties if each.name == "HasExtendedXMP"] if first else []
            notes.append("extended XMP with a second label was removed")
    packet = packet_with(first, label, mark, stale, table)
    packet = without_declarations(packet) if stale and flat else packet
    written = put_packet(apply(payload, edits), picture_format, packet, old[0] if old else None, dropped)
    if label is not None and not is_settled(read_metadata(written, picture_format), label, table):
        raise LabelUnwritable("another label is where zhentu cannot remove it; export the picture again")
    return Written(written, written != payload, tuple(notes))


def packet_with(
    packet: Packet | None,
    label: AigcLabel | None,
    mark: str | None,
    stale: Sequence[Property] = (),
    table: GeneratorTable | None = None,
) -> bytes:
    """A packet that says both things once, and whatever else it said except `stale`. Raises LabelUnwritable."""
    wanted = []
    gone = list(stale)
    if label is not None:
        wanted.append((PREFIX, NAMESPACE, "AIGC", json.dumps(dict(label.fields), separators=(",", ":"))))
        gone += label_properties(packet, table) if packet else []
    if mark is not None:
        wanted.append((MARK_PREFIX, MARK_NAMESPACE, MARK_NAME, mark))
    written = set_properties(packet, wanted, gone)
    if not parse_packet(written).sound:
        raise LabelUnwritable("the label cannot be added to this XMP packet; export the picture without metadata")
    return written


def _tells(packet: Packet, names: Collection[str], table: GeneratorTable | None) -> bool:
    if any(each.name in names for each in packet.properties):
        return True
    if "AIGC" not in names:
        return False
    return bool(label_properties(packet, table)) or (
        not packet.sound and hints_at_label(packet.body.decode("utf-8", "replace"))
    )
