"""C2PA manifests, validated offline by c2pa-python (the Content Authenticity Initiative's own bindings).

A manifest is evidence only when its signature and its hash of the picture hold and it names an AI source type; then it
is SIGNED. Given trust anchors, a signer outside them is believed like any unsigned statement (DECLARED). Nothing is
fetched: neither remote manifests (they would let a picture make this server call any address) nor OCSP answers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from zhentu.intake.xmp import ai_source_type, shown
from zhentu.types import AiState, Evidence, EvidenceKind, Trust

MIME_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}
_MAX_MANIFESTS = 64
_KEPT_RELATIONS = ("parentOf", "componentOf")  # an `inputTo`, e.g. a prompt's sketch, is no part of the picture


class CredentialState(StrEnum):
    """What became of the validation."""

    TRUSTED = "trusted"  # valid, and the signer is among the trust anchors
    VALID = "valid"  # signature and hash hold
    INVALID = "invalid"
    UNREADABLE = "unreadable"
    UNCHECKED = "unchecked"  # c2pa-python cannot be loaded on this platform


@dataclass(frozen=True, slots=True)
class Credential:
    """The active manifest. source_type: the AI source type it or its parents name, empty when none.

    problems: what the validator holds against it, at most eight.  signer: issuer and common name of the certificate.
    """

    state: CredentialState
    source_type: str = ""
    signer: str = ""
    problems: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether signature and hash hold."""
        return self.state in (CredentialState.TRUSTED, CredentialState.VALID)


def read_credential(payload: bytes, picture_format: str, anchors: str = "") -> Credential | None:
    """Validate the active manifest; None when there is none. anchors: PEM certificates, empty = any signer."""
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError) as error:
        return Credential(CredentialState.UNCHECKED, problems=(f"c2pa-python cannot be loaded: {error}",))
    mime = MIME_TYPES.get(picture_format)
    if mime is None:
        return None
    try:
        with c2pa.Context.from_json(_settings(anchors)) as context:
            reader = c2pa.Reader.try_create(mime, io.BytesIO(payload), context=context)
            if reader is None:
                return None
            with reader:
                store = json.loads(reader.json())
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        return Credential(CredentialState.UNREADABLE, problems=(shown(str(error)),))
    return _credential(store)


def credential_evidence(credential: Credential, anchored: bool) -> Evidence:
    """A manifest as evidence. anchored: trust anchors are configured."""
    state = credential.state
    if credential.sound and credential.source_type:
        trusted = state is CredentialState.TRUSTED or not anchored
        unlisted = "" if trusted else ", a signer outside the trust anchors"
        return Evidence(
            EvidenceKind.PROVENANCE,
            "c2pa_ai_source_type",
            f"{credential.source_type}, signed by {credential.signer or 'an unnamed signer'}{unlisted}"[:300],
            Trust.SIGNED if trusted else Trust.DECLARED,
            "C2PA",
            AiState.IS,
        )
    says = {
        CredentialState.TRUSTED: ("c2pa_valid", f"signed by {credential.signer}, names no AI source type"),
        CredentialState.VALID: ("c2pa_valid", f"signed by {credential.signer}, names no AI source type"),
        CredentialState.INVALID: ("c2pa_invalid", "; ".join(credential.problems) or "does not validate"),
        CredentialState.UNREADABLE: ("c2pa_invalid", "; ".join(credential.problems) or "cannot be read"),
        CredentialState.UNCHECKED: ("c2pa_present", "; ".join(credential.problems)),
    }
    name, detail = says[state]
    trust = Trust.SIGNED if credential.sound else Trust.FORGEABLE
    return Evidence(EvidenceKind.PROVENANCE, name, detail[:300], trust, "C2PA")


@lru_cache(maxsize=4)
def _settings(anchors: str) -> str:
    settings: dict[str, object] = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": bool(anchors)}
    }
    if anchors:
        settings["trust"] = {"trust_anchors": anchors}
    return json.dumps(settings)


def _credential(store: object) -> Credential:
    top = _mapping(store)
    manifests = _mapping(top.get("manifests"))
    label = str(top.get("active_manifest", ""))
    signature = _mapping(_mapping(manifests.get(label)).get("signature_info"))
    signer = ", ".join(shown(str(signature[key])) for key in ("issuer", "common_name") if signature.get(key))
    faults = [_mapping(each) for each in _list(top.get("validation_status"))]
    problems = tuple(f"{each.get('code')}: {shown(str(each.get('explanation', '')))}" for each in faults[:8])
    states = {"Trusted": CredentialState.TRUSTED, "Valid": CredentialState.VALID}
    state = states.get(str(top.get("validation_state")), CredentialState.INVALID)
    source_type = next(_source_types(manifests, label), "")
    return Credential(state, source_type, signer, problems)


def _source_types(manifests: Mapping[str, object], label: str) -> Iterator[str]:
    """AI source types of the actions of a manifest, then of the manifests it came from, each visited once."""
    waiting, seen = [label], set[str]()
    while waiting and len(seen) < _MAX_MANIFESTS:
        label = waiting.pop(0)
        if label in seen:
            continue
        seen.add(label)
        manifest = _mapping(manifests.get(label))
        for assertion in _list(manifest.get("assertions")):
            each = _mapping(assertion)
            if not str(each.get("label", "")).startswith("c2pa.actions"):
                continue
            for action in _list(_mapping(each.get("data")).get("actions")):
                value = str(_mapping(action).get("digitalSourceType", ""))
                meaning = ai_source_type(value)
                if meaning:
                    yield f"{shown(value).rstrip('/').rsplit('/', 1)[-1]}: {meaning}"
        for ingredient in _list(manifest.get("ingredients")):
            each = _mapping(ingredient)
            if each.get("relationship") in _KEPT_RELATIONS and _unbroken(each):
                waiting.append(str(each.get("active_manifest", "")))


def _unbroken(ingredient: Mapping[str, object]) -> bool:
    checked = _mapping(_mapping(ingredient.get("validation_results")).get("activeManifest"))
    faults = [str(_mapping(each).get("code")) for each in _list(checked.get("failure"))]
    return all(fault == "signingCredential.untrusted" for fault in faults)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
