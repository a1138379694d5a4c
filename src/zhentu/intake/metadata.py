"""The metadata of a file, as bounded text: XMP properties, EXIF tags, IPTC, PNG text, loose segments and comments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from zhentu.intake.containers import Block, BlockKind, walk
from zhentu.intake.containers.block import MAX_BODY
from zhentu.intake.exif import Exif, parse_exif
from zhentu.intake.iptc import parse_iptc
from zhentu.intake.packet import Packet, Property, parse_packet
from zhentu.intake.wording import best_text, narrow_text

_MAX_TRAILER = 256 * 1024  # bytes after the end of a JPEG that are searched, counted from the end of the file
_SHORTEST = 16  # bytes of a segment that could hold a label or a trace; JFIF's and Adobe's own have fewer
_SAMSUNG_END = b"SEFT"  # the last bytes of what Galaxy phones append


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text and where it was found.

    place: e.g. "PNG text parameters", "EXIF UserComment", "XMP CreatorTool", "comment", "JPEG APP9"; what the table of
    generators calls a field.  block: the block that carries it, None if it has none of its own.  start, end: the
    byte range of its value in that block's body, if it is only a part of it.  property: of an XMP packet, else None.
    """

    place: str
    value: str
    block: Block | None = None
    start: int = 0
    end: int = 0
    property: Property | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """packets: XMP, in file order.  exif: of all EXIF blocks.  texts: everything that holds text, in file order.

    has_c2pa: a C2PA manifest is where the format puts one.  blocks: where all of it was found.
    """

    packets: tuple[Packet, ...] = ()
    exif: Exif = field(default_factory=Exif)
    texts: tuple[Text, ...] = ()
    has_c2pa: bool = False
    blocks: tuple[Block, ...] = ()

    def at(self, place: str) -> Iterator[str]:
        """The values of all texts of one place."""
        return (each.value for each in self.texts if each.place == place)


def read_metadata(payload: bytes, picture_format: str) -> Metadata:
    """Collect a file's metadata; unreadable blocks are left out."""
    blocks = walk(payload, picture_format)
    texts: list[Text] = []
    exifs: list[Exif] = []
    packets = [block.body for block in blocks if block.kind is BlockKind.XMP]
    for block in blocks:
        if block.kind is BlockKind.EXIF:
            exif = parse_exif(block.body)
            exifs.append(exif)
            texts += [Text(f"EXIF {each.name}", each.text, block, each.start, each.end) for each in exif.fields]
            packets += [exif.xmp] if exif.xmp else []
            texts += [Text(f"IPTC {each.name}", each.text) for each in parse_iptc(exif.iptc)]
        elif block.kind is BlockKind.IPTC:
            found = parse_iptc(block.body)
            texts += [Text(f"IPTC {each.name}", each.text, block, each.start, each.end) for each in found]
        elif block.kind is BlockKind.TEXT:
            texts.append(Text(f"PNG text {block.key[:79]}", block.body.decode("utf-8", "replace"), block))
        elif block.kind is BlockKind.OTHER and (len(block.body) >= _SHORTEST or " chunk " in block.key):
            texts.append(Text(_place(block.key), _loose(block.body), block))
            packets += _packets_in(block)
    packets += extended_packets(blocks)
    if not packets:
        packets += _stray(payload)
    if picture_format in ("JPEG", "MPO"):
        texts += _trailer(payload)
    parsed = tuple(parse_packet(packet) for packet in dict.fromkeys(packets))
    texts += [text for packet in parsed for text in packet_texts(packet)]
    return Metadata(
        packets=parsed,
        exif=_merged(exifs),
        texts=tuple(texts),
        has_c2pa=any(each.has_c2pa for each in exifs) or any(block.kind is BlockKind.C2PA for block in blocks),
        blocks=blocks,
    )


def _place(key: str) -> str:
    return key if key == "comment" or " chunk " in key else f"JPEG {key}"


def _packets_in(block: Block) -> list[bytes]:
    """XMP in a chunk of PNG or WebP that is not the format's own for it."""
    return _stray(block.body) if " chunk " in block.key else []


def packet_texts(packet: Packet) -> Iterator[Text]:
    """The properties of a packet as texts; an empty one counts only if it is a label and not a structure."""
    for each in packet.properties:
        if each.value or (each.name.upper() == "AIGC" and not _holds_others(each, packet)):
            yield Text(f"XMP {each.name}", each.value, property=each)


def _holds_others(outer: Property, packet: Packet) -> bool:
    return any(outer.start < each.start and each.end <= outer.end for each in packet.properties)


def _loose(body: bytes) -> str:
    """A segment or comment; most are binary, so UTF-16 is only tried if a label's own letters occur."""
    return best_text(body) if b"A\x00I\x00G\x00C" in body else narrow_text(body)


def _merged(found: list[Exif]) -> Exif:
    return Exif(
        tuple(each for exif in found for each in exif.fields),
        next((exif.xmp for exif in found if exif.xmp), b""),
        next((exif.iptc for exif in found if exif.iptc), b""),
        any(exif.has_c2pa for exif in found),
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
    """A packet in an unusual place, found by its own markers."""
    start = payload.find(b"<x:xmpmeta")
    end = payload.find(b"</x:xmpmeta>", start, start + MAX_BODY) if start >= 0 else -1
    return [payload[start : end + 12]] if end >= 0 else []


def _trailer(payload: bytes) -> list[Text]:
    """What Galaxy phones append after the picture (SEF): named blocks, some of them JSON of their editor."""
    if not payload.endswith(_SAMSUNG_END):
        return []
    start = payload.rfind(b"SEFH", max(len(payload) - _MAX_TRAILER, 0))
    if start < 0:
        return []
    behind = payload.rfind(b"\xff\xd9", 0, start)  # the end of the pixels, or of a thumbnail among the blocks
    body = payload[max(behind, start - _MAX_TRAILER) : start]
    return [Text("Samsung trailer", body.decode("utf-8", "replace"))]
