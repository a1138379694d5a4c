"""C2PA manifests, validated offline by c2pa-python (the Content Authenticity Initiative's own bindings).

Three questions are answered separately. Integrity: do the signature and the hashes hold? Validity: was the certificate
good when it signed? Trust: is the signer on a list that the operator gives? A statement counts if integrity holds, and
is believed as far as the other two answers go; if integrity fails it is only a trace.

Nothing is fetched: no remote manifests (they would let a picture make this server call any address), no OCSP answers,
no identities (CAWG).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from zhentu.intake.manifests import Statement, items, mapping, statement_of
from zhentu.intake.xmp import manifest_source_type, shown
from zhentu.types import AiState, Evidence, EvidenceKind, Fact, Trust

MIME_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
    "HEIC": "image/heic",
}
# Extended key usages of claim signers, as c2pa-rs ships them (valid_eku_oids.cfg): emailProtection, documentSigning,
# timeStamping, OCSPSigning, Microsoft's and C2PA's own. Without the list nearly all of them are refused.
_PURPOSES = (
    *("1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.8", "1.3.6.1.5.5.7.3.9"),
    *("1.3.6.1.4.1.311.76.59.1.9", "1.3.6.1.4.1.62558.2.1"),
)
_NAMED_TYPES = (b"compositeWithTrainedAlgorithmicMedia", b"trainedAlgorithmicMedia", b"TrainedAlgorithmicMedia")


class CredentialState(StrEnum):
    """The three answers in one word."""

    TRUSTED = "trusted"  # it holds, and the signer is among the trust anchors
    VALID = "valid"  # it holds, and the certificate was good
    HOLDS = "holds"  # signature and hashes hold; the certificate was not good, or breaks a rule of the specification
    INVALID = "invalid"  # signature or hashes do not hold
    UNREADABLE = "unreadable"
    UNCHECKED = "unchecked"  # c2pa-python cannot be loaded on this platform


class Integrity(StrEnum):
    """The answer to: do the signature and the hashes hold."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Validity(StrEnum):
    """The answer to: was the certificate good when it signed."""

    VALID = "valid"
    OUTSIDE_DATES = "outside its dates"  # expired, or not yet begun, and no time stamp shows that it was good then
    UNFIT = "unfit"  # made for another purpose, or against the profile of C2PA
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class SignerTrust(StrEnum):
    """The answer to: is the signer on a trust list."""

    LISTED = "listed"
    UNLISTED = "unlisted"
    NOT_ASKED = "not asked"  # no list is configured


@dataclass(frozen=True, slots=True)
class Credential:
    """The active manifest.

    integrity, validity, trust: the three answers.  statement: what it says.  signer: issuer and common name of the
    certificate.  problems: what the validator found wrong, at most eight.  checked: whether the library could be used.
    """

    integrity: Integrity
    validity: Validity = Validity.UNKNOWN
    trust: SignerTrust = SignerTrust.NOT_ASKED
    statement: Statement = field(default_factory=Statement)
    signer: str = ""
    problems: tuple[str, ...] = ()
    checked: bool = True

    @property
    def source_type(self) -> str:
        """The AI source type that it or its parents name, empty if none."""
        return self.statement.source_type

    @property
    def sound(self) -> bool:
        """Whether signature and hashes hold."""
        return self.integrity is Integrity.HOLDS

    @property
    def statement_trust(self) -> Trust:
        """How far everything that the manifest says can be trusted: as far as its signer."""
        if not self.sound:
            return Trust.FORGEABLE
        believed = self.validity is Validity.VALID and self.trust is not SignerTrust.UNLISTED
        return Trust.SIGNED if believed else Trust.DECLARED

    @property
    def state(self) -> CredentialState:
        """The three answers in one word."""
        if not self.checked:
            return CredentialState.UNCHECKED
        if self.integrity is Integrity.UNKNOWN:
            return CredentialState.UNREADABLE
        if self.integrity is Integrity.BROKEN:
            return CredentialState.INVALID
        if self.validity is not Validity.VALID:
            return CredentialState.HOLDS
        return CredentialState.TRUSTED if self.trust is SignerTrust.LISTED else CredentialState.VALID

    @property
    def facts(self) -> tuple[tuple[Fact, str], ...]:
        """The three answers as facts."""
        return (
            (Fact.INTEGRITY, self.integrity.value),
            (Fact.VALIDITY, self.validity.value),
            (Fact.SIGNER_TRUST, self.trust.value),
        )

    @property
    def answers(self) -> str:
        """The three answers as part of a sentence."""
        return f"integrity {self.integrity.value}, certificate {self.validity.value}, signer {self.trust.value}"


@dataclass(frozen=True, slots=True)
class TrustLists:
    """Whose signatures are believed. anchors: PEM certificates of authorities, of signers and of time stamps alike.

    allowed: PEM certificates of signers that are believed one by one, or the base64 of their sha256, one per line. Both
    empty: every signer whose manifest holds and whose certificate was good.
    """

    anchors: str = ""
    allowed: str = ""

    @property
    def given(self) -> bool:
        """Whether there is any list."""
        return bool(self.anchors or self.allowed)


ANY_SIGNER = TrustLists()


def read_credential(payload: bytes, picture_format: str, lists: TrustLists = ANY_SIGNER) -> Credential | None:
    """Validate the active manifest; None if there is none."""
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError) as error:
        return Credential(Integrity.UNKNOWN, problems=(f"c2pa-python cannot be loaded: {error}",), checked=False)
    mime = MIME_TYPES.get(picture_format)
    if mime is None:
        return None
    try:
        with c2pa.Context.from_json(_settings(lists)) as context:
            reader = c2pa.Reader.try_create(mime, io.BytesIO(payload), context=context)
            if reader is None:
                return None
            with reader:
                store = json.loads(reader.json())
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        return _unreadable(payload, str(error))
    return _credential(store, lists)


def credential_evidence(credential: Credential) -> Iterator[Evidence]:
    """A manifest as evidence: what it says about AI, then what else an inspector wants to see."""
    yield _statement_evidence(credential)
    trust = credential.statement_trust
    for each in credential.statement.details:
        facts = tuple((key, value[:300]) for key, value in each.facts if value)
        place = f"C2PA {each.place}"
        yield Evidence(EvidenceKind.PROVENANCE, each.name, each.words[:300], trust, place, facts=facts)


def _statement_evidence(credential: Credential) -> Evidence:
    source, problems = credential.source_type, "; ".join(credential.problems)
    signer = credential.signer or "an unnamed signer"
    if credential.sound and source:
        against = f"; {problems}" if problems else ""
        detail = f"{source}, signed by {signer} ({credential.answers}){against}"
        facts = ((Fact.SOURCE_TYPE, credential.statement.term), (Fact.SIGNER, credential.signer), *credential.facts)
        return _evidence("c2pa_ai_source_type", detail, credential.statement_trust, AiState.IS, facts)
    if credential.sound:
        said = f"signed by {signer}, names no AI source type ({credential.answers})"
        facts = ((Fact.SIGNER, credential.signer), *credential.facts)
        return _evidence("c2pa_valid", said, credential.statement_trust, facts=facts)
    if not credential.checked:
        return _evidence("c2pa_present", problems, Trust.FORGEABLE)
    if source:
        detail = f"{source}, in a manifest that does not hold for this file: {problems or 'no reason given'}"
        facts = ((Fact.SOURCE_TYPE, credential.statement.term), *credential.facts)
        return _evidence("c2pa_broken_ai_source_type", detail, Trust.FORGEABLE, AiState.SUSPECTED, facts)
    facts = ((Fact.QUOTE, problems[:300]),)
    return _evidence("c2pa_invalid", problems or "does not validate", Trust.FORGEABLE, facts=facts)


def _evidence(
    name: str, detail: str, trust: Trust, state: AiState | None = None, facts: tuple[tuple[Fact, str], ...] = ()
) -> Evidence:
    said = tuple(fact for fact in facts if fact[1])
    return Evidence(EvidenceKind.PROVENANCE, name, detail[:300], trust, "C2PA", state, facts=said)


@lru_cache(maxsize=4)
def _settings(lists: TrustLists) -> str:
    trust = {"trust_config": "\n".join(_PURPOSES)}
    if lists.anchors:
        trust["trust_anchors"] = lists.anchors
    if lists.allowed:
        trust["allowed_list"] = lists.allowed
    settings = {
        "core": {"decode_identity_assertions": False, "allowed_network_hosts": []},
        "trust": trust,
        "verify": {
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_trust": lists.given,
            # Without a list nobody vouches for time stamps either; a valid stamp is accepted as it is.
            "verify_timestamp_trust": lists.given,
        },
    }
    return json.dumps(settings)


def _credential(store: object, lists: TrustLists) -> Credential:
    top = mapping(store)
    manifests = mapping(top.get("manifests"))
    label = str(top.get("active_manifest", ""))
    results = mapping(top.get("validation_results"))
    active = mapping(results.get("activeManifest"))
    passed = {str(mapping(each).get("code")) for each in items(active.get("success"))}
    faults = [mapping(each) for each in items(active.get("failure"))]
    codes = [str(each.get("code")) for each in faults]
    broken = [code for code in codes if breaks_integrity(code)]
    holds = not broken and "claimSignature.validated" in passed and any(code in passed for code in _BINDINGS)
    deltas = [mapping(each) for each in items(results.get("ingredientDeltas"))]
    further = [mapping(f) for each in deltas for f in items(mapping(each.get("validationDeltas")).get("failure"))]
    signature = mapping(mapping(manifests.get(label)).get("signature_info"))
    return Credential(
        integrity=Integrity.HOLDS if holds else Integrity.BROKEN,
        validity=_validity(codes),
        trust=_signer_trust(codes, passed, lists),
        statement=statement_of(manifests, label, deltas, breaks_integrity, manifest_source_type),
        signer=", ".join(shown(str(signature[key])) for key in ("issuer", "common_name") if signature.get(key)),
        problems=tuple(_problem(each) for each in [*faults, *further][:8]),
    )


_BINDINGS = (
    *("assertion.dataHash.match", "assertion.bmffHash.match", "assertion.boxesHash.match"),
    "assertion.collectionHash.match",
)
_CERTIFICATE_CODES = ("signingCredential.", "timeStamp.", "timestamp.", "cawg.")
# Formal rules of the specification: signature and hashes may hold although these are broken.
_FORM_CODES = (
    *("claimSignature.outsideValidity", "assertion.action.", "assertion.timestamp.", "assertion.ingredient.malformed"),
    *("ingredient.", "manifest.update.", "manifest.multipleParents", "assertion.hashedURI.outsideManifest"),
)


def breaks_integrity(code: str) -> bool:
    """Whether a failure is about the signature or a hash; unknown ones count as such."""
    return not code.startswith((*_CERTIFICATE_CODES, *_FORM_CODES)) or code == "ingredient.manifest.mismatch"


def _validity(codes: list[str]) -> Validity:
    if any(code.startswith("signingCredential.") and "revoked" in code for code in codes):
        return Validity.REVOKED
    if "signingCredential.invalid" in codes:
        return Validity.UNFIT
    if "signingCredential.expired" in codes or "claimSignature.outsideValidity" in codes:
        return Validity.OUTSIDE_DATES
    return Validity.VALID


def _signer_trust(codes: list[str], passed: set[str], lists: TrustLists) -> SignerTrust:
    if not lists.given:
        return SignerTrust.NOT_ASKED
    listed = "signingCredential.trusted" in passed and "signingCredential.untrusted" not in codes
    return SignerTrust.LISTED if listed else SignerTrust.UNLISTED


def _problem(fault: Mapping[str, object]) -> str:
    return f"{shown(str(fault.get('code')))}: {shown(str(fault.get('explanation', '')))}"


def _unreadable(payload: bytes, error: str) -> Credential:
    """A manifest that the library refuses to open. What its bytes name is still a trace."""
    if error.startswith("Remote"):
        return Credential(Integrity.UNKNOWN, problems=("the manifest is stored elsewhere and is not fetched",))
    named = next((each.decode() for each in _NAMED_TYPES if each in payload), "")
    meaning = manifest_source_type(named) if named else None
    statement = Statement(f"{named}: {meaning}", named) if meaning else Statement()
    return Credential(Integrity.BROKEN, statement=statement, problems=(shown(error),))
