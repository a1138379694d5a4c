"""The table of docs/labels.md: each fault a C2PA manifest can have, and the three answers zhentu gives to it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import c2pa
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "mark"))
from c2pa_faults import C2PA_PURPOSE, CREATED, DOCUMENTS, authority, changed, remote_only, signed_with
from certificates import TRAINED
from cryptography.x509.oid import ExtendedKeyUsageOID

from zhentu.intake.credentials import CredentialState, Integrity, TrustLists, read_credential
from zhentu.intake.provenance import read_provenance
from zhentu.types import AiState, Trust

DOCS = [Path(__file__).parents[2] / "docs" / name for name in ("labels.md", "labels.zh-CN.md")]
IDENTITY = {"label": "cawg.identity", "data": {"signer_payload": {"sig_type": "cawg.x509.cose"}, "signature": "x"}}
EDITED = {"label": "c2pa.actions.v2", "data": {"actions": [{"action": "c2pa.edited", "digitalSourceType": TRAINED}]}}
_SCAN = b"\xff\xda\x00\x0c\x03"  # what starts a JPEG's pixels; its first two bytes may stand in a signature by chance
_LASTS = (2, 10, 60, 120)  # seconds a certificate is good: a machine that stalls for the first gets the next


@lru_cache(maxsize=1)
def stamped() -> bytes:
    """A time-stamped manifest whose certificate has ended since."""
    for lasts in _LASTS:
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=lasts)
        try:
            payload = signed_with(ends=ends)
        except c2pa.C2paError:  # it had ended before the library came to sign with it
            continue
        if datetime.now(UTC) < ends:
            while datetime.now(UTC) <= ends + timedelta(seconds=1):  # certificates count whole seconds
                time.sleep(0.1)
            return payload
    raise AssertionError("no picture could be signed in two minutes")


FAULTS: dict[str, Callable[[], bytes]] = {
    "none": signed_with,
    "expired": lambda: signed_with(days=(-60, -2)),
    "expired, sound time stamp": stamped,
    "expired, bad time stamp": lambda: changed(stamped(), b"stamper", 40),
    "not yet valid": lambda: signed_with(days=(2, 60)),
    "purpose C2PA (1.3.6.1.4.1.62558.2.1)": lambda: signed_with(purpose=C2PA_PURPOSE),
    "purpose documentSigning": lambda: signed_with(purpose=DOCUMENTS),
    "wrong purpose (serverAuth)": lambda: signed_with(purpose=ExtendedKeyUsageOID.SERVER_AUTH),
    "self-signed": lambda: signed_with(self_signed=True),
    "unknown issuer": lambda: signed_with(by="Other"),
    "first action is an edit": lambda: signed_with(assertions=(EDITED,)),
    "CAWG identity, offline": lambda: signed_with(assertions=(CREATED, IDENTITY)),
    "pixels tampered with": lambda: changed(signed_with(), _SCAN, 40),
    "assertion tampered with": lambda: changed(signed_with(), b"c2pa.created", 3),
    "assertion missing": lambda: signed_with().replace(b"c2pa.actions.v2\x00", b"c2pa.actionx.v2\x00"),
    "parent tampered with": lambda: changed(signed_with(parent=signed_with(), assertions=()), b"c2pa.created", 3),
    "manifest kept elsewhere": remote_only,
}


def documented(path: Path) -> dict[str, list[str]]:
    """The rows of the table: fault to its cells."""
    table = path.read_text(encoding="utf-8").partition("<!-- c2pa faults -->")[2].partition("\n\n")[0]
    lines = table.strip().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_the_answers_of_the_documentation(fault: str) -> None:
    payload, lists = FAULTS[fault](), TrustLists(authority("Test").pem)
    credential = read_credential(payload, "JPEG", lists)
    assert credential is not None
    found = read_provenance(payload, "JPEG", lists)
    states = [each.ai_state for each in found if each.ai_state is not None]
    trusts = [each.trust.value for each in found if each.location == "C2PA"]
    answers = [credential.integrity.value, credential.validity.value, credential.trust.value]
    said = [trusts[0] if trusts and states else "–", str(int(states[0])) if states else "–"]
    assert [*answers, *said] == documented(DOCS[0])[fault]
    assert len({each.trust for each in found if each.location.startswith("C2PA")}) <= 1  # of one signer, one trust


def test_every_documented_fault_is_tested_and_both_languages_say_the_same() -> None:
    first, second = (list(documented(path).values()) for path in DOCS)
    assert list(documented(DOCS[0])) == list(FAULTS)
    assert [row[-1] for row in first] == [row[-1] for row in second]


def test_without_a_list_a_valid_signer_is_believed_and_nobody_is_called_unlisted() -> None:
    credential = read_credential(signed_with(by="Other"), "JPEG")
    assert credential is not None
    assert (credential.state, credential.trust.value) == (CredentialState.VALID, "not asked")


def test_an_expired_certificate_lowers_the_trust_and_does_not_silence_the_statement() -> None:
    (found,) = [each for each in read_provenance(signed_with(days=(-60, -2)), "JPEG") if each.location == "C2PA"]
    assert found.ai_state is AiState.IS
    assert "certificate outside its dates" in found.detail
    assert "signingCredential.expired" in found.detail


def test_every_statement_of_a_manifest_is_believed_as_its_signer_is() -> None:
    made = {"label": "c2pa.actions", "data": {"actions": [{"action": "c2pa.edited"}]}}
    for assertions in ((CREATED,), (made,)):
        payload = signed_with(days=(-60, -2), assertions=assertions)
        found = [each for each in read_provenance(payload, "JPEG") if each.location.startswith("C2PA")]
        assert len(found) > 1
        assert {each.trust for each in found} == {Trust.DECLARED}


def test_what_an_inspector_wants_to_see_is_told() -> None:
    blocks = [{"scope": {}, "value": "a"}]
    binding = {"label": "c2pa.soft-binding", "data": {"alg": "com.example.mark", "blocks": blocks}}
    disclosure = {"label": "c2pa.ai-disclosure", "data": {"modelName": "Painter 3", "modelType": "c2pa.types.model"}}
    payload = signed_with(assertions=(CREATED, binding, disclosure))
    found = {each.name: each for each in read_provenance(signed_with(parent=payload, assertions=()), "JPEG")}
    assert "parentOf: p" in found["c2pa_ingredient"].detail
    own = {each.name: each.detail for each in read_provenance(payload, "JPEG")}
    assert own["c2pa_soft_binding"] == "bound by com.example.mark"
    assert "Painter 3" in own["c2pa_disclosure"]
    assert own["c2pa_actions"] == "created (trainedAlgorithmicMedia)"


@pytest.mark.parametrize(
    ("term", "state"),
    [
        ("trainedAlgorithmicMedia", AiState.IS),
        ("compositeWithTrainedAlgorithmicMedia", AiState.IS),
        ("algorithmicMedia", AiState.IS),
        ("algorithmicallyEnhanced", None),
        ("digitalCapture", None),
    ],
)
def test_source_types_of_a_manifest_mean_what_iptc_says(term: str, state: AiState | None) -> None:
    action = {"action": "c2pa.created", "digitalSourceType": f"http://cv.iptc.org/newscodes/digitalsourcetype/{term}"}
    payload = signed_with(assertions=({"label": "c2pa.actions.v2", "data": {"actions": [action]}},))
    (found,) = [each for each in read_provenance(payload, "JPEG") if each.location == "C2PA"]
    assert found.ai_state is state


def test_a_manifest_that_is_cut_off_says_nothing_and_breaks_nothing() -> None:
    payload = signed_with()
    start = payload.index(b"c2pa.signature")
    credential = read_credential(payload[:start] + bytes(len(payload) - start), "JPEG")
    assert credential is None or credential.integrity is not Integrity.HOLDS
