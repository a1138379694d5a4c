"""Every form of a statement x every format x read, write and update, against exiftool."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import exiftool
import numpy as np
import pytest
from conftest import encoded, photo
from exiftool import needs_exiftool

from zhentu.intake.decode import decode
from zhentu.intake.provenance import read_provenance
from zhentu.mark import LabelSpec, label_picture
from zhentu.mark.spec import Outcome
from zhentu.types import AiState, Trust

pytestmark = needs_exiftool
ALL = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF")
SPLICED = ("JPEG", "PNG", "WEBP", "GIF")
EXIF = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")
LABEL = {
    "Label": "2",
    "ContentProducer": "001191110102MACQD9K64010000",
    "ProduceID": "20250901T1",
    "ReservedCode1": "",
    "ContentPropagator": "",
    "PropagateID": "",
    "ReservedCode2": "",
}
BARE, WRAPPED = json.dumps(LABEL), json.dumps({"AIGC": LABEL})
FORMS = {  # name: (formats, exiftool's arguments)
    "element": (ALL, [f"-XMP-TC260:AIGC={BARE}"]),
    "attribute": (ALL, ["-api", "Compact=Shorthand", f"-XMP-TC260:AIGC={BARE}"]),
    "wrapped": (ALL, [f"-XMP-TC260:AIGC={WRAPPED}"]),
    "wrong namespace": (ALL, [f"-XMP-tc:AIGC={BARE}"]),
    "EXIF comment": (EXIF, [f"-EXIF:UserComment={WRAPPED}"]),
    "EXIF description": (EXIF, [f"-IFD0:ImageDescription={WRAPPED}"]),
    "PNG text": (("PNG",), [f"-PNG:AIGC={BARE}"]),
    "PNG compressed": (("PNG",), ["-z", f"-PNG:AIGC={BARE}"]),
    "comment": (("JPEG", "GIF"), [f"-Comment=AIGC{BARE}"]),
}
TABLE = [(name, form) for name, (forms, _) in FORMS.items() for form in forms]
SPEC = LabelSpec(propagator="PLATFORM-7", content_id="LISTING.42", visible=False)


def plain(form: str) -> bytes:
    return encoded(photo((320, 240)), form)


def spec_for(form: str) -> LabelSpec:
    """AVIF and TIFF take the implicit label only together with the visible one."""
    return SPEC if form in SPLICED else LabelSpec(propagator="PLATFORM-7", content_id="LISTING.42")


@pytest.mark.parametrize(("name", "form"), TABLE)
def test_what_exiftool_writes_in_each_form_is_read(name: str, form: str, tmp_path: Path) -> None:
    written = exiftool.write(plain(form), form, tmp_path, *FORMS[name][1])
    (found,) = [each for each in read_provenance(written, form) if each.name == "aigc_label"]
    assert (found.ai_state, found.trust) == (AiState.POSSIBLY, Trust.DECLARED)
    assert "001191110102MACQD9K64010000" in found.detail


@pytest.mark.parametrize("form", ALL)
def test_what_zhentu_writes_exiftool_reads_with_the_exact_values(form: str, tmp_path: Path) -> None:
    labelled = label_picture(plain(form), AiState.SUSPECTED, spec_for(form))
    ((group, value),) = exiftool.labels(labelled.payload, form, tmp_path)
    assert group == "XMP-TC260"
    assert json.loads(value) == dict.fromkeys(LABEL, "") | {
        "Label": "3",
        "ContentPropagator": "PLATFORM-7",
        "PropagateID": "LISTING.42",
    }


@pytest.mark.parametrize(("name", "form"), TABLE)
def test_a_label_in_any_form_is_updated_into_the_one_place_never_doubled(name: str, form: str, tmp_path: Path) -> None:
    old = exiftool.write(plain(form), form, tmp_path, "-XMP-dc:Rights=Anna", *FORMS[name][1])
    labelled = label_picture(old, AiState.SUSPECTED, spec_for(form))
    assert labelled.implicit is Outcome.UPDATED
    ((group, value),) = exiftool.labels(labelled.payload, form, tmp_path)
    assert group == "XMP-TC260"
    assert json.loads(value) == LABEL | {"ContentPropagator": "PLATFORM-7", "PropagateID": "LISTING.42"}
    assert exiftool.read(labelled.payload, form, tmp_path)["XMP-dc:Rights"] == "Anna"
    assert label_picture(labelled.payload, AiState.SUSPECTED, spec_for(form)).payload == labelled.payload


@pytest.mark.parametrize("form", SPLICED)
def test_other_metadata_is_kept(form: str, tmp_path: Path) -> None:
    tags = ["-XMP-dc:Creator=Anna", "-XMP-iptcExt:AISystemUsed=Gen 5"]
    if form != "GIF":
        tags += ["-EXIF:Artist=Bo", "-IFD0:Model=X100", "-ExifIFD:ExposureTime=0.01"]
    before = exiftool.write(plain(form), form, tmp_path, *tags)
    after = label_picture(before, AiState.IS, SPEC).payload
    wanted, found = exiftool.read(before, form, tmp_path), exiftool.read(after, form, tmp_path)
    volatile = ("System:", "File:FileSize", "SourceFile", "XMP-TC260:")
    ignored = ("RIFF:WebP_Flags", "RIFF:WebPFlags")  # says that XMP is there
    lost = {key for key in wanted if not key.startswith(volatile) and key not in ignored} - set(found)
    assert not lost
    changed = {key for key in wanted if key in found and wanted[key] != found[key] and not key.startswith(volatile)}
    assert changed <= set(ignored)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK", "lossless", "progressive"])
def test_pixels_stay_identical(form: str, mode: str) -> None:
    image, options = photo((317, 211)), {}
    if mode == "lossless":
        options = {"lossless": True} if form == "WEBP" else {"optimize": True}
    elif mode == "progressive":
        options = {"progressive": True} if form == "JPEG" else {"method": 0} if form == "WEBP" else {}
    elif form == "JPEG" and mode in ("RGBA", "P", "1"):
        image = image.convert("L")
    elif not (form != "JPEG" and mode == "CMYK"):
        image = image.convert(mode)
    before = encoded(image, form, **options)
    after = label_picture(before, AiState.IS, SPEC).payload
    assert after != before
    assert np.array_equal(decode(before).rgb, decode(after).rgb)


@pytest.mark.parametrize(
    ("arguments", "name", "state", "forms"),
    [
        (["-XMP-iptcExt:DigitalSourceType=http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"],
         "iptc_digital_source_type", AiState.IS, ALL),
        (["-XMP-iptcExt:DigitalSourceType=http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic"],
         "iptc_digital_source_type", AiState.IS, ALL),
        (["-XMP-iptcExt:DigitalSourceType=http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"],
         "iptc_digital_source_type", None, ALL),
        (["-XMP-iptcExt:AISystemUsed=Midjourney"], "ai_system_used", AiState.IS, ALL),
        (["-XMP-iptcExt:AISystemVersionUsed=7"], "ai_system_used", AiState.IS, ALL),
        (["-XMP-iptcExt:AIPromptInformation=a cup"], "ai_system_used", AiState.IS, ALL),
        (["-XMP-iptcExt:AIPromptWriterName=Bo"], "ai_system_used", AiState.IS, ALL),
        (["-XMP-photoshop:Credit=Made with Google AI"], "google_ai_credit", AiState.IS, ALL),
        (["-IPTC:Credit=Made with Google AI"], "google_ai_credit", AiState.IS, ("JPEG", "TIFF")),
        (["-IFD0:Make=Ideogram AI"], "generator_parameters", AiState.SUSPECTED, EXIF),
        (["-EXIF:UserComment=a cup\\nSteps: 20, Sampler: Euler"], "generator_parameters", AiState.SUSPECTED, EXIF),
        (["-IFD0:Software=ComfyUI"], "generator_parameters", AiState.SUSPECTED, EXIF),
        (["-PNG:parameters=a cup Steps: 20, Sampler: Euler"], "generator_parameters", AiState.SUSPECTED, ("PNG",)),
        (["-PNG:invokeai_metadata={}"], "generator_parameters", AiState.SUSPECTED, ("PNG",)),
        (["-IFD0:Make=Canon", "-IFD0:Model=R5", "-ExifIFD:ExposureTime=0.01"], "camera_exif", None, EXIF),
    ],
)  # fmt: skip
def test_other_statements_are_read_from_every_format(
    arguments: list[str], name: str, state: AiState | None, forms: tuple[str, ...], tmp_path: Path
) -> None:
    for form in forms:
        written = exiftool.write(plain(form), form, tmp_path, *arguments)
        states = [each.ai_state for each in read_provenance(written, form) if each.name == name]
        assert states == [state], form


def test_a_bare_label_in_an_application_segment_is_moved(tmp_path: Path) -> None:
    jpeg = plain("JPEG")
    body = b"AIGC" + BARE.encode()
    bare = jpeg[:2] + b"\xff\xe9" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
    ((group, value),) = exiftool.labels(label_picture(bare, AiState.POSSIBLY, SPEC).payload, "JPEG", tmp_path)
    assert (group, json.loads(value)["ContentProducer"]) == ("XMP-TC260", LABEL["ContentProducer"])


def test_a_label_in_extended_xmp_is_moved_too(tmp_path: Path) -> None:
    long = "x" * 70_000
    arguments = ["-XMP-dc:Description=" + long, f"-XMP-TC260:AIGC={BARE}"]
    old = exiftool.write(plain("JPEG"), "JPEG", tmp_path, *arguments)
    assert b"ns.adobe.com/xmp/extension" in old
    labelled = label_picture(old, AiState.POSSIBLY, SPEC)
    assert len(exiftool.labels(labelled.payload, "JPEG", tmp_path)) == 1
