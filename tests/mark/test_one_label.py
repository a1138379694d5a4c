"""One label a file: whatever form the old one had, marking leaves one that conforms, and does so once."""

from __future__ import annotations

from pathlib import Path

import exiftool
import pytest
from conftest import encoded, photo
from exiftool import needs_exiftool
from label_forms import LABEL, Form, exif, exif_block, forms, opened, packet, png, segment, text

from zhentu.intake.aigc import find_labels
from zhentu.intake.metadata import read_metadata
from zhentu.mark import LabelSpec, label_picture
from zhentu.mark.verify import verify_labels
from zhentu.types import AiState

SPEC = LabelSpec(propagator="PLATFORM-7", content_id="L.1", visible=False)
TABLE = forms()
TEN = LABEL | {"ReservedCode1": "x" * 20_000}


@pytest.mark.parametrize("form", TABLE, ids=lambda form: form.name)
def test_an_old_label_of_any_form_becomes_the_one_that_conforms(form: Form) -> None:
    marked = label_picture(form.payload, AiState.SUSPECTED, SPEC)
    (label,) = find_labels(read_metadata(marked.payload, marked.format))
    assert label.standard
    assert label.problems() == ()
    assert (label.state, label.get("ContentProducer")) == (form.state, form.producer)
    assert label.get("ContentPropagator") == form.propagator
    assert verify_labels(marked.payload).implicit_problems == ()
    assert label_picture(marked.payload, AiState.SUSPECTED, SPEC).payload == marked.payload
    assert opened(marked.payload).tobytes() == opened(form.payload).tobytes()


@needs_exiftool
@pytest.mark.parametrize("form", TABLE, ids=lambda form: form.name)
def test_exiftool_finds_exactly_one_label_too(form: Form, tmp_path: Path) -> None:
    marked = label_picture(form.payload, AiState.SUSPECTED, SPEC)
    found = exiftool.labels(marked.payload, marked.format, tmp_path)
    assert [group for group, _ in found] == ["XMP-TC260"]


def test_a_label_with_two_values_in_the_standard_place_is_written_again_with_the_surer() -> None:
    once = label_picture(encoded(photo(), "JPEG"), AiState.IS, SPEC).payload
    twice = once.replace(b'"Label":"1"', b'"Label":"1","Label":"3"')
    assert len(twice) > len(once)
    length = int.from_bytes(once[once.index(b"\xff\xe1") + 2 :][:2], "big")
    at = once.index(b"\xff\xe1") + 2
    twice = twice[:at] + (length + len(twice) - len(once)).to_bytes(2, "big") + twice[at + 2 :]
    marked = label_picture(twice, AiState.SUSPECTED, SPEC)
    assert marked.changed
    assert b'"Label":"3"' not in marked.payload
    assert verify_labels(marked.payload).implicit_problems == ()


def test_labels_that_contradict_each_other_are_named() -> None:
    payload = exif(0x9286, b"ASCII\0\0\0AIGC" + text(LABEL | {"Label": "2", "ContentProducer": "Q"}).encode())
    comment = segment(0xFE, ("AIGC" + text(LABEL)).encode())[2:]
    both = payload[:2] + comment[: 2 + int.from_bytes(comment[2:4], "big")] + payload[2:]
    problems = " | ".join(verify_labels(both).implicit_problems)
    assert "there are 2 labels (EXIF UserComment, comment)" in problems or "2 labels (comment, EXIF" in problems
    assert "labels contradict each other: Label is" in problems
    assert "the content producer is" in problems


def test_a_label_in_a_producers_own_schema_does_not_conform_and_is_quoted() -> None:
    problems = " | ".join(verify_labels(png("Comment", '{"aigc_type":1}')).implicit_problems)
    assert "an AIGC flag of Douyin" in problems
    assert "aigc_type" in problems


def test_what_stands_beside_a_label_in_exif_is_kept() -> None:
    payload = exif(0x9286, b"ASCII\0\0\0made for Anna AIGC" + text(LABEL).encode() + b" by hand")
    marked = label_picture(payload, AiState.IS, SPEC)
    comment = read_metadata(marked.payload, "JPEG").exif.text["UserComment"]
    assert comment.startswith("made for Anna")
    assert comment.endswith("by hand")


def test_what_stands_beside_an_unescaped_label_in_xmp_is_kept() -> None:
    form = next(each for each in TABLE if each.name == "XMP attribute, unescaped, PNG")
    marked = label_picture(form.payload, AiState.IS, SPEC)
    (read,) = read_metadata(marked.payload, "PNG").packets
    assert read.values("creator") == ["Anna"]
    assert marked.notes == ("the unescaped label of an XMP packet was removed, the rest was kept",)


def test_fields_are_percent_encoded_and_a_note_says_so() -> None:
    marked = label_picture(png("AIGC", LABEL | {"ContentProducer": "腾讯 云"}), AiState.IS, SPEC)
    assert marked.label is not None
    assert marked.label.get("ContentProducer") == "%E8%85%BE%E8%AE%AF%20%E4%BA%91"
    assert "ContentProducer held characters GB 45438-2025 does not allow; they are percent-encoded" in marked.notes


def test_a_field_too_long_for_any_file_is_left_out_and_told() -> None:
    marked = label_picture(png("AIGC", TEN), AiState.IS, SPEC)
    assert marked.label is not None
    assert marked.label.get("ReservedCode1") == ""
    assert any("ReservedCode1 of the older label has more than" in note for note in marked.notes)


def test_a_segment_that_held_more_than_its_label_is_told_of() -> None:
    marked = label_picture(segment(0xFE, b"shot in Paris AIGC" + text(LABEL).encode()), AiState.IS, SPEC)
    assert "the rest of comment was removed with the label in it" in marked.notes


def test_a_second_packet_with_a_label_goes() -> None:
    body = packet('<rdf:Description xmlns:n="urn:n:" n:note="' + text(LABEL).replace('"', "&quot;") + '"/>')
    second = b"http://ns.adobe.com/xap/1.0/\x00" + body
    payload = segment(0xE1, second)
    first = encoded(photo(), "JPEG", xmp=packet("<rdf:Description/>"), exif=exif_block(0x013B, "Anna"))
    both = first[:20] + payload[2 : 2 + 4 + len(second)] + first[20:]
    marked = label_picture(both, AiState.IS, SPEC)
    assert len(list(find_labels(read_metadata(marked.payload, "JPEG")))) == 1
