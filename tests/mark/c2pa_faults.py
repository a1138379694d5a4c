"""C2PA manifests with one fault each, made by c2pa-python itself.

The library refuses to sign with a bad certificate, so it is given a good one, and the bad one, of the same length and
the same key, is put in its place both in what is signed and in what is written.
"""

from __future__ import annotations

import datetime
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, HTTPServer

import c2pa
from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from certificates import TRAINED
from conftest import encoded, photo
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
C2PA_PURPOSE = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
DOCUMENTS = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
_NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
_SETTINGS = {
    "verify": {"verify_after_sign": False, "verify_trust": False, "remote_manifest_fetch": False},
    "trust": {"trust_config": "1.3.6.1.5.5.7.3.4\n1.3.6.1.5.5.7.3.36\n1.3.6.1.4.1.62558.2.1\n"},
    "builder": {"thumbnail": {"enabled": False}},
}
CREATED = {"label": "c2pa.actions.v2", "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": TRAINED}]}}


@dataclass(frozen=True)
class Authority:
    """A root and a signer of its own; `stamper` signs time stamps under the same root."""

    root: x509.Certificate
    root_key: ec.EllipticCurvePrivateKey
    key: ec.EllipticCurvePrivateKey
    serial: int

    @property
    def pem(self) -> str:
        return self.root.public_bytes(PEM).decode()


@lru_cache(maxsize=2)
def authority(name: str) -> Authority:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(f"{name} root", f"{name} root", root_key, root_key, days=(-2000, 3000), authority=True)
    return Authority(root, root_key, key, x509.random_serial_number())


def signed_with(
    days: tuple[float, float] = (-1, 300),
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    self_signed: bool = False,
    assertions: tuple[dict[str, object], ...] = (CREATED,),
    parent: bytes | None = None,
    ends: datetime.datetime | None = None,
    by: str = "Test",
) -> bytes:
    """A JPEG with a manifest. days: validity from today.  ends: when it ends instead, with a time stamp."""
    ours = authority(by)
    own = purpose if purpose in (C2PA_PURPOSE, DOCUMENTS) else ExtendedKeyUsageOID.EMAIL_PROTECTION
    if ends is None:
        good, bad = _of_one_length(
            lambda: _leaf(ours, (-1, 300), own, self_signed), lambda: _leaf(ours, days, purpose, self_signed)
        )
    else:  # a time stamp covers the certificate, so it must be the one that was there
        good = bad = _leaf(ours, (-1, (ends - _NOW).total_seconds() / 86400), own, self_signed)
    before, after = good.public_bytes(DER), bad.public_bytes(DER)

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(ours.key.sign(message.replace(before, after), ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    chain = good.public_bytes(PEM) + (b"" if self_signed else ours.root.public_bytes(PEM))
    definition = {"claim_generator_info": [{"name": "test", "version": "1"}], "assertions": list(assertions)}
    out = io.BytesIO()
    with (
        _stamper(ours, ends is not None) as url,
        c2pa.Context.from_dict(_SETTINGS) as context,
        c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg.ES256, chain.decode(), url) as signer,
    ):
        builder = c2pa.Builder.from_json(json.dumps(definition), context)
        if parent is not None:
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            builder.add_ingredient('{"title": "p", "relationship": "parentOf"}', "image/jpeg", io.BytesIO(parent))
        builder.sign(signer, "image/jpeg", io.BytesIO(encoded(photo(), "JPEG")), out)
    return out.getvalue().replace(before, after)


def remote_only() -> bytes:
    """A picture whose manifest is said to be elsewhere."""
    ours = authority("Test")
    key = ours.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = _leaf(ours, (-1, 300), ExtendedKeyUsageOID.EMAIL_PROTECTION, False).public_bytes(PEM)
    info = c2pa.C2paSignerInfo(b"es256", chain + ours.root.public_bytes(PEM), key, None)
    out = io.BytesIO()
    with c2pa.Context.from_dict(_SETTINGS) as context, c2pa.Signer.from_info(info) as signer:
        builder = c2pa.Builder.from_json(json.dumps({"claim_generator_info": [{"name": "t"}]}), context)
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.TRAINED_ALGORITHMIC_MEDIA)
        builder.set_no_embed()
        builder.set_remote_url("http://127.0.0.1:9/manifest.c2pa")
        builder.sign(signer, "image/jpeg", io.BytesIO(encoded(photo(), "JPEG")), out)
    return out.getvalue()


def changed(payload: bytes, mark: bytes, shift: int) -> bytes:
    """One bit changed behind a mark."""
    written = bytearray(payload)
    written[payload.index(mark) + shift] ^= 1
    return bytes(written)


def _of_one_length(*makers: Callable[[], x509.Certificate]) -> list[x509.Certificate]:
    """Certificates of one length: that of an ECDSA signature varies by a byte or two, and seldom by more.

    All are made anew each time: to wait for a second one of a rare length would fail once in hundreds of runs.
    """
    for _ in range(200):
        made = [make() for make in makers]
        if len({len(each.public_bytes(DER)) for each in made}) == 1:
            return made
    raise AssertionError("no certificates of one length")


def _leaf(
    ours: Authority, days: tuple[float, float], purpose: x509.ObjectIdentifier, self_signed: bool
) -> x509.Certificate:
    issuer, issuer_key = ("signer", ours.key) if self_signed else (None, ours.root_key)
    return _certificate(
        "signer", issuer or ours.root.subject, ours.key, issuer_key, days, serial=ours.serial, purpose=purpose
    )


def _certificate(
    subject: str,
    issuer: str | x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: tuple[float, float],
    authority: bool = False,
    serial: int | None = None,
    purpose: x509.ObjectIdentifier | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer if isinstance(issuer, x509.Name) else _name(issuer))
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(_NOW + datetime.timedelta(days=days[0]))
        .not_valid_after(_NOW + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(
            x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False), True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    if purpose is not None:
        critical = purpose == ExtendedKeyUsageOID.TIME_STAMPING
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    parts = {NameOID.COUNTRY_NAME: "CN", NameOID.ORGANIZATION_NAME: "Test", NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


@contextmanager
def _stamper(ours: Authority, wanted: bool) -> Iterator[str | None]:
    """A time stamping authority (RFC 3161) on this machine."""
    if not wanted:
        yield None
        return

    class Stamps(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = tsp.TimeStampReq.load(self.rfile.read(int(self.headers["Content-Length"])))
            answer = _stamp(ours, asked, datetime.datetime.now(datetime.UTC))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Stamps)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@lru_cache(maxsize=2)
def _stamping_certificate(root: x509.Certificate, root_key: ec.EllipticCurvePrivateKey) -> tuple[object, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.TIME_STAMPING
    made = _certificate("stamper", root.subject, key, root_key, (-1500, 1500), purpose=purpose)
    return key, made.public_bytes(DER)


def _stamp(ours: Authority, asked: tsp.TimeStampReq, moment: datetime.datetime) -> bytes:
    key, der = _stamping_certificate(ours.root, ours.root_key)
    certificate = asn1_x509.Certificate.load(der)
    told = {
        "version": "v1",
        "policy": "1.2.3.4",
        "message_imprint": asked["message_imprint"],
        "serial_number": 7,
        "gen_time": moment.replace(microsecond=0),
    }
    if asked["nonce"].native is not None:
        told["nonce"] = asked["nonce"].native
    info = tsp.TSTInfo(told)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(info.dump())
    own = hashes.Hash(hashes.SHA256())
    own.update(der)
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [digest.finalize()]}),
            cms.CMSAttribute(
                {
                    "type": "signing_certificate_v2",
                    "values": [tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2({"cert_hash": own.finalize()})]})],
                }
            ),
        ]
    )
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    sid = cms.IssuerAndSerialNumber({"issuer": certificate.issuer, "serial_number": certificate.serial_number})
    signer = {
        "version": "v1",
        "sid": cms.SignerIdentifier("issuer_and_serial_number", sid),
        "digest_algorithm": {"algorithm": "sha256"},
        "signed_attrs": attributes,
        "signature_algorithm": {"algorithm": "sha256_ecdsa"},
        "signature": key.sign(attributes.untag().dump(), ec.ECDSA(hashes.SHA256())),
    }
    signed = cms.SignedData(
        {
            "version": "v3",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info.dump())},
            "certificates": [certificate, asn1_x509.Certificate.load(ours.root.public_bytes(DER))],
            "signer_infos": [signer],
        }
    )
    token = cms.ContentInfo({"content_type": "signed_data", "content": signed})
    return bytes(tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump())
