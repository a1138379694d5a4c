"""HDR pictures are labelled without lies: what announces a gain map or a curve stays with it, or goes with it."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from conftest import encoded, photo
from label_forms import case, packet
from PIL import Image

from zhentu.intake.containers import bmff, jpeg
from zhentu.intake.containers.block import ColourCoding
from zhentu.mark import LabelSpec, label_picture
from zhentu.mark.gainmap import _index
from zhentu.mark.tone import to_srgb
from zhentu.types import AiState

HIDDEN, SHOWN = LabelSpec(propagator="P", visible=False), LabelSpec(propagator="P")
HDRGM = (
    '<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
    ' xmlns:Container="http://ns.google.com/photos/1.0/container/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"><dc:source>Anna</dc:source><Container:Directory>'
    '<rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/>'
    '</rdf:li><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Mime="image/jpeg"/>'
    "</rdf:li></rdf:Seq></Container:Directory></rdf:Description>"
)
ANNOUNCED = (b"hdrgm", b"MPF\x00", b"21496", b"GainMap", b"Container:")


def with_gain_map(order: str, late: bool) -> bytes:
    """An Ultra HDR file. late: the index stands before the XMP packet, so that a label moves what it points at."""
    first = encoded(photo((320, 240)), "JPEG", xmp=packet(HDRGM), quality=90)
    gain = encoded(photo((80, 60)).convert("L"), "JPEG")
    iso = b"urn:iso:std:iso:ts:21496:-1\x00\x00\x00\x00\x00"
    marked = b"II*\x00" if order == "<" else b"MM\x00*"
    directory = struct.pack(order + "IH", 8, 1) + struct.pack(order + "HHII", 0xB002, 7, 32, 26) + bytes(4)
    size = 4 + 4 + len(marked) + len(directory) + 32
    place = 2 if late else next(b.end for b in jpeg.blocks(first) if b.kind.value == "XMP")
    segments = b"\xff\xe2" + struct.pack(">H", len(iso) + 2) + iso
    whole = len(first) + size + len(segments)
    base = place + 8
    entries = struct.pack(order + "IIIHH", 0x30000, whole, 0, 0, 0)
    entries += struct.pack(order + "IIIHH", 0, len(gain), whole - base, 0, 0)
    index = b"\xff\xe2" + struct.pack(">H", size - 2) + b"MPF\x00" + marked + directory + entries
    return first[:place] + index + segments + first[place:] + gain


def pictures(payload: bytes) -> list[bytes]:
    """The pictures that a file's index points at."""
    index = _index(payload)
    assert index is not None
    found = []
    for number in range(index.count):
        _, length, offset, _, _ = struct.unpack_from(index.order + "IIIHH", payload, index.place + 16 * number)
        start = index.base + offset if number else 0
        found.append(payload[start : start + length])
    return found


@pytest.mark.parametrize("payload", [with_gain_map("<", True), with_gain_map(">", False), case("ultrahdr_synth.jpg")])
def test_the_implicit_label_alone_keeps_the_gain_map_and_its_index(payload: bytes) -> None:
    before = pictures(payload)[1]
    marked = label_picture(payload, AiState.IS, HIDDEN)
    first, second = pictures(marked.payload)
    assert second == before
    assert first + second == marked.payload
    assert Image.open(io.BytesIO(second)).size[0] > 0
    assert b"hdrgm:Version" in marked.payload
    assert label_picture(marked.payload, AiState.IS, HIDDEN).changed is False


@pytest.mark.parametrize("payload", [with_gain_map("<", True), with_gain_map(">", False), case("ultrahdr_synth.jpg")])
def test_with_the_visible_label_the_gain_map_goes_with_all_that_announces_it(payload: bytes) -> None:
    marked = label_picture(payload, AiState.IS, SHOWN)
    assert [mark for mark in ANNOUNCED if mark in marked.payload] == []
    assert any("the HDR gain map was removed" in note for note in marked.notes)
    assert marked.format == "JPEG"
    assert label_picture(marked.payload, AiState.IS, SHOWN).changed is False


def test_what_else_the_packet_said_stays() -> None:
    marked = label_picture(with_gain_map("<", True), AiState.IS, SHOWN)
    assert b"<dc:source>Anna</dc:source>" in marked.payload


def avif(transfer: int, primaries: int = 9) -> bytes:
    """An AVIF whose colour box names another curve; its values are taken for that curve's from then on."""
    payload = encoded(photo((320, 240)), "AVIF", quality=90)
    place = payload.index(b"colrnclx") + 8
    return payload[:place] + struct.pack(">HH", primaries, transfer) + payload[place + 4 :]


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_in_avif_is_converted_and_announced_no_more(transfer: int, name: str) -> None:
    payload = avif(transfer)
    assert bmff.colour_coding(payload) is not None
    marked = label_picture(payload, AiState.IS, SHOWN)
    coding = bmff.colour_coding(marked.payload)
    assert coding is None or not coding.curve
    assert any(note.startswith(f"{name} values") for note in marked.notes)


def test_an_ordinary_avif_keeps_its_values_and_has_no_note() -> None:
    assert label_picture(encoded(photo((320, 240)), "AVIF"), AiState.IS, SHOWN).notes == ()


def test_graphics_white_becomes_white_and_black_stays_black() -> None:
    """BT.2408: 203 cd/m2 is code 0.58 of PQ and 0.75 of HLG; both come out light, 10,000 cd/m2 no darker."""
    pq = np.array([[[0] * 3, [148] * 3, [255] * 3]], np.uint8)
    hlg = np.array([[[0] * 3, [191] * 3, [255] * 3]], np.uint8)
    for pixels, transfer in ((pq, 16), (hlg, 18)):
        black, white, peak = to_srgb(pixels, ColourCoding(9, transfer, 9))[0, :, 0]
        assert black == 0
        assert 225 <= white <= 255
        assert white < peak <= 255


def test_sixteen_bits_that_become_eight_are_told() -> None:
    import zlib

    pixels = np.arange(320 * 240 * 3, dtype=">u2").reshape(240, 320 * 3)
    rows = b"".join(b"\x00" + row.tobytes() for row in pixels)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 320, 240, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    payload = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    assert "16 bits per channel became 8" in label_picture(payload, AiState.IS, SHOWN).notes
    assert label_picture(payload, AiState.IS, HIDDEN).notes == ()
