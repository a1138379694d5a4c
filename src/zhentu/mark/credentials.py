"""Re-sign files in which writing a label changed bytes that a C2PA manifest had signed.

A C2PA *update manifest* keeps the hash of its parent and so cannot cover changed bytes: c2pa-rs 0.91 judges one
made after an XMP edit Invalid (assertion.dataHash.mismatch; tried, see DECISIONS). The specification's way is
a standard manifest that names the old one as `parentOf` and the change as an action; that is what is written.
"""

from __future__ import annotations

import io
import json

from zhentu import __version__
from zhentu.errors import DependencyError, LabelUnwritable
from zhentu.intake.credentials import MIME_TYPES, Credential, read_credential
from zhentu.mark.spec import CredentialOutcome, SigningKey

_SETTINGS = json.dumps(
    {
        "verify": {
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_trust": False,
            "verify_after_sign": False,
        },
        "builder": {"thumbnail": {"enabled": False}},
    }
)


def settle(
    before: bytes, after: bytes, picture_format: str, signing: SigningKey | None, painted: bool
) -> tuple[bytes, CredentialOutcome, str]:
    """The file after labelling with its credentials in order, what became of them, and a note.

    before, after: the file with its valid manifest, and with the label.  painted: pixels were changed too.
    Raises LabelUnwritable if the new manifest does not validate, DependencyError if the key cannot sign.
    """
    credential = read_credential(before, picture_format)
    if credential is None:
        return after, CredentialOutcome.NONE, ""
    if not credential.sound:
        return after, CredentialOutcome.KEPT, f"the C2PA manifest was {credential.state.value} before and was left"
    if signing is None:
        note = (
            f"the label changes bytes signed by {credential.signer or 'the C2PA manifest'}: its signature no longer "
            "holds; set c2pa.certificates and c2pa.key to re-sign"
        )
        return after, CredentialOutcome.INVALIDATED, note
    signed = sign_label(before, after, picture_format, signing, painted)
    found = read_credential(signed, picture_format)
    if found is None or not found.sound:
        raise LabelUnwritable(f"the new C2PA manifest does not validate: {'; '.join(_problems(found))}")
    return signed, CredentialOutcome.RESIGNED, f"re-signed by {found.signer}; the old manifest is its parent"


def sign_label(before: bytes, after: bytes, picture_format: str, signing: SigningKey, painted: bool) -> bytes:
    """`after` with a manifest whose parent is `before`. Raises DependencyError if the key cannot sign."""
    import c2pa

    mime = MIME_TYPES[picture_format]
    actions = [_action("c2pa.edited.metadata", "AIGC label of GB 45438-2025 written")]
    if painted:
        actions.append(_action("c2pa.edited", "visible AI label painted into a corner"))
    definition = {
        "claim_generator_info": [{"name": "zhentu", "version": __version__}],
        "format": mime,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }
    parent = json.dumps({"title": "before labelling", "relationship": "parentOf"})
    signed = io.BytesIO()
    try:
        info = c2pa.C2paSignerInfo(signing.algorithm.encode(), signing.certificates, signing.key, None)
        with (
            c2pa.Context.from_json(_SETTINGS) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder.from_json(json.dumps(definition), context) as builder,
        ):
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            builder.add_ingredient(parent, mime, io.BytesIO(before))
            builder.sign(signer, mime, io.BytesIO(after), signed)
    except c2pa.C2paError as error:
        raise DependencyError(
            f"the C2PA key cannot sign ({str(error)[:300]}); check c2pa.certificates, c2pa.key and c2pa.algorithm"
        ) from error
    return signed.getvalue()


def _action(name: str, description: str) -> dict[str, object]:
    return {"action": name, "parameters": {"description": description}}


def _problems(found: Credential | None) -> tuple[str, ...]:
    return found.problems if found else ("none was written",)
