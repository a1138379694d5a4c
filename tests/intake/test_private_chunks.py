"""Chunks of PNG and WebP that no standard describes are read if all of them is text."""

from __future__ import annotations

import struct
import zlib

import pytest
from conftest import encoded, photo
from label_forms import packet
from yardstick import fastest

from zhentu.decide.evidence_words import place_zh
from zhentu.intake.containers import walk
from zhentu.intake.decode import decode
from zhentu.intake.provenance import read_provenance
from zhentu.mark import LabelSpec, label_picture
from zhentu.types import AiState

SOURCE_TYPE = (
    '<rdf:Description xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    "<e:DigitalSourceType>trainedAlgorithmicMedia</e:DigitalSourceType></rdf:Description>"
)
OTHER = (
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:format>image/png</dc:format></rdf:Description>'
)
LABEL = '{"AIGC":{"Label":"1","ContentProducer":"P","ProduceID":"1","ContentPropagator":"Q","PropagateID":"2"}}'


def in_png(kind: bytes, body: bytes, **options: object) -> bytes:
    """A PNG with a chunk of this type in front of its end."""
    plain = encoded(photo(), "PNG", **options)
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return plain[:-12] + chunk + plain[-12:]


def in_webp(kind: bytes, body: bytes, **options: object) -> bytes:
    plain = encoded(photo(), "WEBP", **options)
    whole = plain + kind + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


@pytest.mark.parametrize(("write", "form"), [(in_png, "PNG"), (in_webp, "WEBP")])
@pytest.mark.parametrize(
    ("body", "name"),
    [
        (packet(SOURCE_TYPE), "iptc_digital_source_type"),
        (b"\xef\xbb\xbf" + packet(SOURCE_TYPE) + b"\x00", "iptc_digital_source_type"),
        (LABEL.encode(), "aigc_label"),
        (b"a red mug\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 640x480", "generator_parameters"),
        ("本图片由AI生成".encode(), "generator_parameters"),
        (b'{"generationParams":{"modelName":"flux-1-dev"}}', "generator_parameters"),
    ],
)
def test_a_statement_in_a_private_chunk_is_read(write, form: str, body: bytes, name: str) -> None:
    payload = write(b"prVt", body)
    found = [each for each in read_provenance(payload, form) if each.ai_state]
    assert [each.name for each in found] == [name]
    assert decode(payload).width == 96


@pytest.mark.parametrize(("write", "form"), [(in_png, "PNG"), (in_webp, "WEBP")])
def test_a_packet_of_its_own_does_not_hide_a_second_one(write, form: str) -> None:
    options = {"xmp": packet(OTHER)} if form == "WEBP" else {}
    payload = write(b"tXMP", packet(SOURCE_TYPE), **options)
    assert [each.ai_state for each in read_provenance(payload, form)] == [AiState.IS]


def test_places_are_named() -> None:
    (found,) = read_provenance(in_png(b"prVt", "由AI生成".encode()), "PNG")
    assert (found.location, place_zh(found.location)) == ("PNG chunk prVt", "PNG 数据块 prVt")
    (found,) = read_provenance(in_webp(b"PRVT", "由AI生成".encode()), "WEBP")
    assert (found.location, place_zh(found.location)) == ("WebP chunk PRVT", "WebP 数据块 PRVT")


@pytest.mark.parametrize(
    "body", [zlib.compress(LABEL.encode()), b"\x00\x01" + LABEL.encode(), b"\xff\xfe" + LABEL.encode()]
)
def test_what_is_not_all_text_is_not_read(body: bytes) -> None:
    assert read_provenance(in_png(b"prVt", body), "PNG") == ()
    assert all(" chunk " not in block.key for block in walk(in_png(b"prVt", body), "PNG"))


def test_a_type_that_no_terminal_should_print_is_not_read() -> None:
    assert read_provenance(in_png(b"\x1b[3m", LABEL.encode()), "PNG") == ()
    assert read_provenance(in_webp(b"\x1b[3m", LABEL.encode()), "WEBP") == ()


def test_known_chunks_and_denials_stay_silent() -> None:
    assert read_provenance(in_png(b"iDOT", LABEL.encode()), "PNG") == ()
    assert read_provenance(in_png(b"prVt", "未使用AI生成".encode()), "PNG") == ()


@pytest.mark.parametrize(("write", "form"), [(in_png, "PNG"), (in_webp, "WEBP")])
def test_a_label_in_a_private_chunk_makes_way_for_the_standards(write, form: str) -> None:
    marked = label_picture(write(b"prVt", LABEL.encode()), AiState.IS, LabelSpec(propagator="P"))
    labels = [each for each in read_provenance(marked.payload, form) if each.name == "aigc_label"]
    assert [each.location for each in labels] == ["XMP TC260:AIGC"]
    assert b"prVt" not in marked.payload


def test_large_and_many_chunks_cost_little() -> None:
    body = b"{" + b'"Steps": 20, "AIGC": ' * 50_000 + b"}"
    plain = encoded(photo(), "PNG")
    chunk = struct.pack(">I", len(body)) + b"prVt" + body + struct.pack(">I", zlib.crc32(b"prVt" + body))
    some, many = (plain[:-12] + chunk * count + plain[-12:] for count in (10, 60))
    allowed = 2 * fastest(lambda: read_provenance(some, "PNG"))
    assert fastest(lambda: read_provenance(many, "PNG"), allowed) <= allowed
