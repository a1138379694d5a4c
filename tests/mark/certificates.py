"""A C2PA signing chain and signed pictures, made by c2pa-python itself."""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import dataclass
from functools import lru_cache

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zhentu.mark.spec import SigningKey

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
MIME = {form: f"image/{form.lower()}" for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF")}
SETTINGS = {"verify": {"verify_trust": False}, "builder": {"thumbnail": {"enabled": False}}}


@dataclass(frozen=True)
class Chain:
    certificates: bytes
    key: bytes
    root: bytes

    @property
    def signing(self) -> SigningKey:
        return SigningKey(self.certificates, self.key)


@lru_cache(maxsize=2)
def chain(name: str = "signer") -> Chain:
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    certificates = [_certificate(f"{name} root", f"{name} root", keys[0], keys[0], now, authority=True)]
    certificates.append(_certificate(name, f"{name} root", keys[1], keys[0], now, authority=False))
    root, leaf = (each.public_bytes(serialization.Encoding.PEM) for each in certificates)
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Chain(leaf + root, key, root)


def signed(payload: bytes, form: str, source_type: str = TRAINED, parent: bytes | None = None) -> bytes:
    """The picture with a manifest that names a source type, or with one that names a parent."""
    action = {"action": "c2pa.created", "digitalSourceType": source_type}
    actions = [] if parent else [{"label": "c2pa.actions", "data": {"actions": [action]}}]
    definition = {"claim_generator_info": [{"name": "test", "version": "1"}], "assertions": actions}
    info = c2pa.C2paSignerInfo(b"es256", chain().certificates, chain().key, None)
    out = io.BytesIO()
    with c2pa.Context.from_dict(SETTINGS) as context, c2pa.Signer.from_info(info) as signer:
        builder = c2pa.Builder.from_json(json.dumps(definition), context)
        if parent:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            builder.add_ingredient('{"title": "p", "relationship": "parentOf"}', MIME[form], io.BytesIO(parent))
        builder.sign(signer, MIME[form], io.BytesIO(payload), out)
    return out.getvalue()


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
    authority: bool,
) -> x509.Certificate:
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False) | {
        "encipher_only": False,
        "decipher_only": False,
    }
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=authority, crl_sign=authority, **usage), True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    parts = {NameOID.COUNTRY_NAME: "CN", NameOID.ORGANIZATION_NAME: "Test", NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])
