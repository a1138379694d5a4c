from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from conftest import encoded, photo

sys.path.insert(0, str(Path(__file__).parents[1] / "mark"))
from certificates import CAPTURE, MIME, chain, signed

from zhentu.intake.credentials import ANY_SIGNER, CredentialState, TrustLists, read_credential
from zhentu.intake.provenance import read_provenance
from zhentu.types import AiState, Evidence, Trust


def c2pa_of(payload: bytes, form: str, lists: TrustLists = ANY_SIGNER) -> Evidence | None:
    found = [each for each in read_provenance(payload, form, lists) if each.location == "C2PA"]
    assert len(found) < 2
    return found[0] if found else None


@pytest.mark.parametrize("form", MIME)
def test_a_valid_manifest_with_an_ai_source_type_is_signed_evidence(form: str) -> None:
    found = c2pa_of(signed(encoded(photo(), form), form), form)
    assert found is not None
    assert (found.name, found.trust, found.ai_state) == ("c2pa_ai_source_type", Trust.SIGNED, AiState.IS)
    assert "trainedAlgorithmicMedia" in found.detail


@pytest.mark.parametrize("form", MIME)
def test_one_changed_byte_makes_a_signed_statement_a_mere_trace(form: str) -> None:
    payload = bytearray(signed(encoded(photo(), form), form))
    payload[-30 if form != "TIFF" else 400] ^= 1
    found = c2pa_of(bytes(payload), form)
    assert found is not None
    assert (found.ai_state, found.trust) == (AiState.SUSPECTED, Trust.FORGEABLE)


def test_a_camera_that_signs_says_nothing_about_ai() -> None:
    found = c2pa_of(signed(encoded(photo(), "JPEG"), "JPEG", CAPTURE), "JPEG")
    assert found is not None
    assert (found.name, found.ai_state) == ("c2pa_valid", None)


def test_an_edit_of_an_ai_picture_is_still_one() -> None:
    parent = signed(encoded(photo(), "JPEG"), "JPEG")
    found = c2pa_of(signed(encoded(photo(seed=2), "JPEG"), "JPEG", parent=parent), "JPEG")
    assert found is not None
    assert found.ai_state is AiState.IS


def test_an_edit_of_a_tampered_ai_picture_inherits_nothing() -> None:
    parent = bytearray(signed(encoded(photo(), "JPEG"), "JPEG"))
    parent[-30] ^= 1
    found = c2pa_of(signed(encoded(photo(seed=2), "JPEG"), "JPEG", parent=bytes(parent)), "JPEG")
    assert found is not None
    assert found.ai_state is None


def test_given_anchors_only_listed_signers_are_signed_evidence() -> None:
    payload = signed(encoded(photo(), "JPEG"), "JPEG")
    listed = c2pa_of(payload, "JPEG", TrustLists(chain().root.decode()))
    unlisted = c2pa_of(payload, "JPEG", TrustLists(chain("other").root.decode()))
    assert listed is not None
    assert unlisted is not None
    assert (listed.trust, unlisted.trust) == (Trust.SIGNED, Trust.DECLARED)
    assert unlisted.ai_state is AiState.IS


def test_the_library_is_asked_only_where_a_manifest_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("zhentu.intake.provenance.read_credential", lambda *given: asked.append(given))
    for form in MIME:
        read_provenance(encoded(photo(), form) + b"jumb c2pa", form)
    assert asked == []


def test_remote_manifests_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import json
    import socket

    import c2pa
    from certificates import SETTINGS

    calls = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        server.setblocking(False)  # who had connected would be in the queue by now
        url = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
        info = c2pa.C2paSignerInfo(b"es256", chain().certificates, chain().key, None)
        out = io.BytesIO()
        with c2pa.Context.from_dict(SETTINGS) as context, c2pa.Signer.from_info(info) as signer:
            builder = c2pa.Builder.from_json(json.dumps({"claim_generator_info": [{"name": "t"}]}), context)
            builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.TRAINED_ALGORITHMIC_MEDIA)
            builder.set_no_embed()
            builder.set_remote_url(url)
            builder.sign(signer, "image/jpeg", io.BytesIO(encoded(photo(), "JPEG")), out)
        assert url.encode() in out.getvalue()
        read_provenance(out.getvalue(), "JPEG")
        read_credential(out.getvalue(), "JPEG")
        with contextlib.suppress(BlockingIOError):
            calls.append(server.accept())
    assert calls == []


def test_a_missing_library_is_told_and_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = signed(encoded(photo(), "PNG"), "PNG")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read_credential(payload, "PNG")
    assert found is not None
    assert found.state is CredentialState.UNCHECKED
    evidence = c2pa_of(payload, "PNG")
    assert evidence is not None
    assert evidence.ai_state is None
