from __future__ import annotations

import io
import json
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from certificates import MIME, chain, signed
from conftest import encoded, photo
from PIL import Image, PngImagePlugin

from zhentu.errors import DependencyError, LabelUnwritable, PictureError, UsageError
from zhentu.intake.aigc import AigcLabel, find_labels
from zhentu.intake.credentials import TrustLists, read_credential
from zhentu.intake.decode import decode
from zhentu.intake.metadata import read_metadata
from zhentu.intake.provenance import read_provenance
from zhentu.mark import LabelSpec, label_picture
from zhentu.mark.spec import CredentialOutcome, Outcome, SigningKey
from zhentu.mark.verify import verify_labels
from zhentu.types import AiState

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF")
SPEC = LabelSpec(propagator="PLATFORM-7", content_id="L.1")
HIDDEN = LabelSpec(propagator="PLATFORM-7", content_id="L.1", visible=False)
FIELDS = {"ContentProducer": "P1", "ProduceID": "9", "ContentPropagator": "OTHER", "PropagateID": "77"}


def label_of(payload: bytes, form: str) -> AigcLabel:
    (label,) = find_labels(read_metadata(payload, form))
    assert isinstance(label, AigcLabel)
    return label


def with_label(state: str, **fields: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("AIGC", json.dumps({"Label": state, **FIELDS, **fields}))
    return encoded(photo(), "PNG", pnginfo=info)


def xmp_jpeg(packet: bytes) -> bytes:
    return encoded(photo(), "JPEG", xmp=packet)


@pytest.mark.parametrize("form", FORMATS)
def test_a_second_marking_leaves_the_bytes_unchanged(form: str) -> None:
    first = label_picture(encoded(photo((300, 200)), form), AiState.POSSIBLY, SPEC)
    second = label_picture(first.payload, AiState.POSSIBLY, SPEC)
    assert (first.implicit, first.visible, first.changed) == (Outcome.WRITTEN, Outcome.WRITTEN, True)
    assert (second.implicit, second.visible, second.changed) == (Outcome.KEPT, Outcome.KEPT, False)
    assert second.payload is first.payload or second.payload == first.payload
    assert verify_labels(first.payload).conforms


def test_the_same_picture_gives_the_same_bytes_even_without_a_content_id() -> None:
    spec, payload = LabelSpec(propagator="P"), encoded(photo(), "PNG")
    first, second = (label_picture(payload, AiState.IS, spec) for _ in range(2))
    assert first.payload == second.payload
    assert label_picture(first.payload, AiState.IS, spec).payload == first.payload


@pytest.mark.parametrize(
    ("there", "found", "stands"),
    [
        ("1", AiState.SUSPECTED, "1"),
        ("3", AiState.IS, "1"),
        ("2", AiState.SUSPECTED, "2"),
        ("9", AiState.POSSIBLY, "2"),
    ],
)
def test_a_label_is_never_weakened(there: str, found: AiState, stands: str) -> None:
    assert label_of(label_picture(with_label(there), found, HIDDEN).payload, "PNG").get("Label") == stands


def test_what_a_producer_and_a_first_propagator_wrote_is_kept() -> None:
    kept = label_of(label_picture(with_label("1"), AiState.IS, HIDDEN).payload, "PNG")
    assert {key: kept.get(key) for key in FIELDS} == FIELDS
    ours = LabelSpec(propagator="PLATFORM-7", content_id="L.1", visible=False, replace_propagator=True)
    replaced = label_of(label_picture(with_label("1"), AiState.IS, ours).payload, "PNG")
    assert (replaced.get("ContentPropagator"), replaced.get("PropagateID")) == ("PLATFORM-7", "L.1")
    assert replaced.get("ContentProducer") == "P1"


def test_the_producer_is_filled_in_only_for_the_states_that_are_configured() -> None:
    spec = LabelSpec(propagator="P", producer="US", produce_id="5", visible=False)
    states = {
        state: label_of(label_picture(encoded(photo(), "PNG"), state, spec).payload, "PNG").get("ContentProducer")
        for state in AiState
    }
    assert states == {AiState.IS: "US", AiState.POSSIBLY: "", AiState.SUSPECTED: ""}


def test_several_labels_become_one() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("AIGC", json.dumps({"Label": "3", "ContentProducer": "A"}))
    info.add_text("AIGC", json.dumps({"Label": "2", "ProduceID": "B"}), zip=True)
    first = encoded(photo(), "PNG", pnginfo=info)
    both = label_picture(first, AiState.SUSPECTED, HIDDEN)
    label = label_of(both.payload, "PNG")
    assert (label.get("ContentProducer"), both.implicit) == ("A", Outcome.UPDATED)


@pytest.mark.parametrize(
    "packet",
    [
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/></x:xmpmeta>",
        b"<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><r:Description r:about='urn:x'/></r:RDF>",
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        "<rdf:Description xmlns:d='urn:d' d:n='图&gt;'/></rdf:RDF></x:xmpmeta>".encode("utf-16"),
        b"\x00",
        b"<x:xmpmeta><broken",
        b'<!DOCTYPE x [<!ENTITY a "b">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>',
        b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>no rdf</x:xmpmeta>",
    ],
)
def test_odd_packets_take_the_label_all_the_same(packet: bytes) -> None:
    labelled = label_picture(xmp_jpeg(packet), AiState.IS, HIDDEN)
    assert label_of(labelled.payload, "JPEG").standard
    assert verify_labels(labelled.payload).implicit_problems == ()


def test_all_that_is_not_the_label_stays_byte_for_byte() -> None:
    head = (
        b"<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"
        b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><!-- ours --><rdf:Description rdf:about='a' "
        b"xmlns:T='http://www.tc260.org.cn/ns/AIGC/1.0/'  xmlns:d='urn:d' d:k=\"v>\""
    )
    label = b' T:AIGC=\'{"Label":"3"}\''
    tail = b"  d:m='n'><d:AIGCx>y</d:AIGCx></rdf:Description>"
    end = b"</rdf:RDF></x:xmpmeta><?xpacket end='w'?>"
    labelled = label_picture(xmp_jpeg(head + label + tail + end), AiState.IS, HIDDEN).payload
    assert head + tail in labelled
    assert end in labelled


def test_a_full_xmp_segment_gives_its_padding_first_and_then_says_so() -> None:
    start = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    end = b"</rdf:RDF></x:xmpmeta>"
    padded = start + end + b" " * (65_400 - len(start + end)) + b"<?xpacket end='w'?>"
    assert label_of(label_picture(xmp_jpeg(padded), AiState.IS, HIDDEN).payload, "JPEG").state is AiState.IS
    full = start + b"<!--" + b"x" * (65_400 - len(start + end)) + b"-->" + end
    with pytest.raises(LabelUnwritable, match="less metadata"):
        label_picture(xmp_jpeg(full), AiState.IS, HIDDEN)


@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("lossless", [True, False])
def test_a_simple_webp_becomes_an_extended_one_of_the_same_size(alpha: bool, lossless: bool) -> None:
    image = photo((123, 77)).convert("RGBA" if alpha else "RGB")
    if alpha:
        image.putalpha(photo((123, 77), 5).convert("L"))
    before = encoded(image, "WEBP", lossless=lossless)
    after = label_picture(before, AiState.IS, HIDDEN).payload
    old, new = (Image.open(io.BytesIO(each)) for each in (before, after))
    assert (new.size, new.mode) == (old.size, old.mode)
    assert np.array_equal(np.asarray(old), np.asarray(new))
    assert struct.unpack_from("<I", after, 4)[0] == len(after) - 8


def test_an_mpo_keeps_its_pictures_under_the_implicit_label_and_becomes_a_jpeg_under_the_badge() -> None:
    before = encoded(photo((200, 100)), "MPO", save_all=True, append_images=[photo((200, 100), 2)])
    implicit, painted = (label_picture(before, AiState.IS, spec) for spec in (HIDDEN, SPEC))
    old, new = (Image.open(io.BytesIO(each)) for each in (before, implicit.payload))
    for number in range(2):
        old.seek(number)
        new.seek(number)
        assert np.array_equal(np.asarray(old), np.asarray(new))
    assert (painted.format, decode(painted.payload).format) == ("JPEG", "JPEG")
    assert "removed" in painted.notes[0]


def test_several_threads_label_as_one_does() -> None:
    pictures = [encoded(photo((200 + k, 150)), "JPEG") for k in range(8)]
    alone = [label_picture(each, AiState.IS, SPEC).payload for each in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda k: label_picture(pictures[k % 8], AiState.IS, SPEC).payload, range(64)))
    assert together == alone * 8


@pytest.mark.parametrize("form", MIME)
def test_without_a_key_a_broken_signature_is_said_to_be_broken(form: str) -> None:
    labelled = label_picture(signed(encoded(photo((300, 200)), form), form), AiState.IS, SPEC)
    assert labelled.credentials is CredentialOutcome.INVALIDATED
    assert "no longer holds" in labelled.notes[-1]
    found = read_credential(labelled.payload, form)
    assert found is None or not found.sound


@pytest.mark.parametrize("form", MIME)
def test_with_a_key_the_picture_is_signed_anew_with_the_old_manifest_as_parent(form: str) -> None:
    spec = LabelSpec(propagator="P", signing=chain("platform").signing)
    labelled = label_picture(signed(encoded(photo((300, 200)), form), form), AiState.IS, spec)
    roots = (chain("platform").root + chain().root).decode()
    found = read_credential(labelled.payload, form, TrustLists(roots))
    assert labelled.credentials is CredentialOutcome.RESIGNED
    assert found is not None
    assert (found.state.value, found.source_type.split(":")[0]) == ("trusted", "trainedAlgorithmicMedia")
    again = label_picture(labelled.payload, AiState.IS, spec)
    assert (again.changed, again.credentials) == (False, CredentialOutcome.KEPT)
    assert verify_labels(labelled.payload).conforms


def test_a_manifest_that_was_invalid_before_is_not_laundered() -> None:
    payload = bytearray(signed(encoded(photo(), "JPEG"), "JPEG"))
    payload[-30] ^= 1
    labelled = label_picture(bytes(payload), AiState.IS, LabelSpec(propagator="P", signing=chain().signing))
    assert labelled.credentials is CredentialOutcome.KEPT
    assert "invalid before" in labelled.notes[-1]


def test_a_key_that_cannot_sign_is_named() -> None:
    spec = LabelSpec(propagator="P", signing=SigningKey(b"no certificate", b"no key"))
    with pytest.raises(DependencyError, match=r"c2pa\.key"):
        label_picture(signed(encoded(photo(), "JPEG"), "JPEG"), AiState.IS, spec)


def test_a_specification_that_could_not_conform_is_refused() -> None:
    with pytest.raises(UsageError, match=r"label\.propagator"):
        LabelSpec(propagator="")
    with pytest.raises(UsageError, match="Annex E"):
        LabelSpec(propagator="平台")
    with pytest.raises(UsageError, match=r"0\.05"):
        LabelSpec(propagator="P", height=0.01)
    with pytest.raises(UsageError, match="neither"):
        label_picture(encoded(photo(), "PNG"), AiState.IS, LabelSpec(propagator="", implicit=False, visible=False))


def test_verify_names_every_fault() -> None:
    assert "no AIGC label" in verify_labels(encoded(photo(), "PNG")).implicit_problems[0]
    found = verify_labels(with_label("7", ContentProducer="有 空格", Extra="1"))
    faults = " | ".join(found.implicit_problems)
    for words in (
        "must be 1, 2 or 3",
        "fields are missing",
        "unknown fields: Extra",
        "characters outside",
        "XMP property",
    ):
        assert words in faults
    info = PngImagePlugin.PngInfo()
    info.add_text("AIGC", "{not json")
    assert "cannot be read" in verify_labels(encoded(photo(), "PNG", pnginfo=info)).implicit_problems[0]


def test_verify_tells_labels_that_disagree_and_words_that_do_not_do() -> None:
    english = LabelSpec(propagator="P", language="en")  # type: ignore[arg-type]
    labelled = label_picture(encoded(photo((400, 300)), "PNG"), AiState.SUSPECTED, english)
    surer = label_picture(labelled.payload, AiState.IS, LabelSpec(propagator="P", visible=False))
    problems = " | ".join(verify_labels(surer.payload).explicit_problems)
    assert "生成" in problems
    assert "different things" in problems


def test_a_broken_picture_is_not_labelled() -> None:
    with pytest.raises(PictureError):
        label_picture(encoded(photo((400, 300)), "JPEG")[:4000], AiState.IS, SPEC)


@pytest.mark.parametrize(
    "text",
    [
        b"AIGC" + b" " * 250_000,
        b"AIGC{" * 50_000,
        b"AIGC" * 60_000,
        b"&quot;" * 40_000 + b"AIGC",
        b'{"AIGC":' * 30_000,
        b"[" * 250_000,
    ],
)
def test_text_made_to_make_patterns_slow_does_not(text: bytes) -> None:
    info = PngImagePlugin.PngInfo()
    for key in ("AIGC", "parameters", "prompt", "Description"):
        info.add_text(key, text.decode())
    began = time.thread_time()
    read_provenance(encoded(photo(), "PNG", pnginfo=info), "PNG")
    segments = b"".join(b"\xff\xfe" + struct.pack(">H", 65_000) + (text * 9)[:64_998] for _ in range(8))
    jpeg = encoded(photo(), "JPEG")
    read_provenance(jpeg[:2] + segments + jpeg[2:], "JPEG")
    read_provenance(xmp_jpeg(b"<x:xmpmeta" + text[:60_000]), "JPEG")
    assert time.thread_time() - began < 10  # about 0.2 s on one quiet core; a quadratic pattern needs minutes


def test_bombs_and_loops_are_read_in_bounded_time_and_memory() -> None:
    bomb = b"AIGC\x00\x00" + zlib.compress(b"{" * 200_000_000, 9)
    chunk = struct.pack(">I", len(bomb)) + b"zTXt" + bomb + struct.pack(">I", zlib.crc32(b"zTXt" + bomb))
    png = encoded(photo(), "PNG")
    payload = png[:33] + chunk * 40 + png[33:]
    metadata = read_metadata(payload, "PNG")
    assert sum(len(block.body) for block in metadata.blocks) < 10 * 2**20
    deep = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a>" * 20_000
    assert decode(xmp_jpeg(deep)).width == 96
    assert label_picture(xmp_jpeg(deep), AiState.IS, HIDDEN).notes == (
        "an XMP packet that could not be read was replaced",
    )
