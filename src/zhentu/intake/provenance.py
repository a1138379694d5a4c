"""What a file says of itself: C2PA, AI marks in XMP and EXIF, the AIGC label, generator traces, camera EXIF.

Sources of the rules: C2PA specification 2.x, IPTC digital source types (cv.iptc.org), GB 45438-2025 Annex E and
TC260-PG-20259A for the AIGC label. Only a C2PA manifest that validates is signed evidence. Reading never raises, is
bounded in time and memory whatever the file holds, and asks the C2PA library only where a manifest stands.
"""

from __future__ import annotations

from zhentu.intake.aigc import find_aigc_label
from zhentu.intake.credentials import credential_evidence, read_credential
from zhentu.intake.metadata import read_metadata
from zhentu.intake.traces import camera, generator_traces
from zhentu.intake.xmp import xmp_evidence
from zhentu.types import Evidence, EvidenceKind, Trust

_READERS = (xmp_evidence, find_aigc_label, generator_traces, camera)


def read_provenance(payload: bytes, picture_format: str, c2pa_anchors: str = "") -> tuple[Evidence, ...]:
    """Every finding in the file, each with where it stood and how far it can be trusted.

    c2pa_anchors: PEM certificates of the signers that are believed; empty = every signer whose manifest validates.
    """
    found: list[Evidence] = []
    # Metadata is hostile input; what one reader cannot take must not cost the picture or the other readers.
    try:
        metadata = read_metadata(payload, picture_format)
    except Exception as error:
        return (_unreadable("read_metadata", error),)
    if metadata.has_c2pa:
        try:
            credential = read_credential(payload, picture_format, c2pa_anchors)
            found += [credential_evidence(credential, bool(c2pa_anchors))] if credential else []
        except Exception as error:
            found.append(_unreadable("read_credential", error))
    for reader in _READERS:
        try:
            found.extend(reader(metadata))
        except Exception as error:
            found.append(_unreadable(reader.__name__, error))
    return tuple(dict.fromkeys(found))


def _unreadable(reader: str, error: Exception) -> Evidence:
    return Evidence(
        EvidenceKind.FILE, "metadata_unreadable", f"{reader}: {type(error).__name__}", Trust.MEASURED, "metadata"
    )
