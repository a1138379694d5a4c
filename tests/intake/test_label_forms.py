"""Every form a producer writes an AIGC label in gives the state it stands for, and is quoted when it is malformed."""

from __future__ import annotations

import pytest
from conftest import encoded, photo
from label_forms import LABEL, NAMESPACE, Form, exif, forms, packet, png, segment, text

from zhentu.intake.aigc import find_labels
from zhentu.intake.metadata import read_metadata
from zhentu.intake.provenance import read_provenance
from zhentu.types import AiState

TABLE = forms()


@pytest.mark.parametrize("form", TABLE, ids=lambda form: form.name)
def test_a_label_in_any_form_and_place_is_read(form: Form) -> None:
    found = [each for each in read_provenance(form.payload, form.form) if each.name.startswith("aigc_label")]
    assert [each.ai_state for each in found] == [form.state], found
    assert found[0].location
    assert len(found[0].detail) > 10


def test_the_table_has_thirty_forms_of_our_own() -> None:
    assert sum(not form.name.startswith("case") for form in TABLE) >= 30


@pytest.mark.parametrize(
    "words",
    [
        "AIGC is a word for content made by AI",
        '{"aigc_info": {"aigc_label_type": 0, "source_info": "lv"}, "data": {"product": "lv", "exportType": "image"}}',
        '{"data": {"product": "aweme", "aigc_info": "{\\"aigc_type\\":0}"}}',
        '{"AIGC": null}',
        '{"Label": "1", "Colour": "red"}',
        '{"ServiceProvider": "T-Mobile", "Label": "fast"}',
        "Label: 1",
    ],
)
def test_text_that_only_resembles_a_label_is_none(words: str) -> None:
    placed = ((exif(0x010E, words), "JPEG"), (png("Comment", words), "PNG"), (segment(0xFE, words.encode()), "JPEG"))
    for payload, form in placed:
        assert [each for each in read_provenance(payload, form) if each.ai_state is not None] == []


def test_a_malformed_label_is_quoted() -> None:
    (found,) = read_provenance(segment(0xFE, b'AIGC{"Label":"1","ContentProd'), "JPEG")
    assert (found.name, found.ai_state, found.location) == ("aigc_label_malformed", AiState.SUSPECTED, "comment")
    assert 'AIGC{"Label":"1","ContentProd' in found.detail


def test_every_label_of_a_file_is_found() -> None:
    payload = exif(0x9286, b"ASCII\0\0\0AIGC" + text(LABEL | {"Label": "2"}).encode())
    comment = segment(0xFE, ("AIGC" + text(LABEL)).encode())[2:]
    start = comment[: 2 + int.from_bytes(comment[2:4], "big")]
    found = read_provenance(payload[:2] + start + payload[2:], "JPEG")
    assert {each.ai_state for each in found if each.name == "aigc_label"} == {AiState.IS, AiState.POSSIBLY}


def test_heic_items_are_read_as_those_of_avif() -> None:
    payload = exif(0x010E, {"AIGC": LABEL}, "AVIF")
    for name in ("AVIF", "HEIF", "HEIC"):
        (found,) = [each for each in read_provenance(payload, name) if each.name == "aigc_label"]
        assert found.location == "EXIF ImageDescription"


@pytest.mark.parametrize("number", range(16))
def test_a_label_in_any_segment_is_read(number: int) -> None:
    found = read_provenance(segment(0xE0 + number, ("AIGC" + text(LABEL)).encode()), "JPEG")
    assert [(each.ai_state, each.location) for each in found] == [(AiState.IS, f"JPEG APP{number}")]


def test_a_header_of_a_colour_profile_hides_no_label_elsewhere() -> None:
    found = read_provenance(segment(0xE9, b"ICC_PROFILE\x00AIGC" + text(LABEL).encode()), "JPEG")
    assert [each.ai_state for each in found] == [AiState.IS]


@pytest.mark.parametrize(
    "words", ['{"Label":"1","Label":"3"%s}', '{"Label":"3","Label":"1"%s}', '{"label":"3","Label":1%s}']
)
def test_the_stronger_of_two_labels_in_one_object_counts(words: str) -> None:
    payload = segment(0xFE, ("AIGC" + words % ',"ContentProducer":"001","ProduceID":"x"').encode())
    (found,) = read_provenance(payload, "JPEG")
    assert found.ai_state is AiState.IS
    (label,) = find_labels(read_metadata(payload, "JPEG"))
    assert any("Label is given more than once" in each for each in label.problems())


def test_the_stronger_of_two_labels_in_a_structure_counts() -> None:
    inside = (
        f'<rdf:Description xmlns:t="{NAMESPACE}"><t:Label>3</t:Label><t:Label>1</t:Label>'
        "<t:ContentProducer>001</t:ContentProducer></rdf:Description>"
    )
    (found,) = read_provenance(encoded(photo(), "WEBP", xmp=packet(inside)), "WEBP")
    assert found.ai_state is AiState.IS
