"""What a file says about itself: C2PA, AI marks in XMP and EXIF, the AIGC label, generator traces, camera EXIF.

Sources of the rules: C2PA specification 2.x, IPTC digital source types (cv.iptc.org), GB 45438-2025 Annex E and
TC260-PG-20259A for the AIGC label. Only a C2PA manifest that validates is signed evidence. Reading never raises, is
bounded in time and memory whatever the file holds, and asks the C2PA library only where a manifest stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from zhentu.intake.aigc import find_aigc_label
from zhentu.intake.credentials import ANY_SIGNER, TrustLists, credential_evidence, read_credential
from zhentu.intake.further import BEGINNINGS, further_files
from zhentu.intake.generators import GeneratorTable, shipped_table
from zhentu.intake.metadata import Metadata, read_metadata
from zhentu.intake.stealth import stealth_parameters
from zhentu.intake.traces import camera, generator_traces
from zhentu.intake.xmp import xmp_evidence
from zhentu.types import Evidence, EvidenceKind, Fact, Trust


def read_provenance(
    payload: bytes,
    picture_format: str,
    lists: TrustLists = ANY_SIGNER,
    table: GeneratorTable | None = None,
) -> tuple[Evidence, ...]:
    """Every finding in the file, with its place and how far it can be trusted.

    lists: whose C2PA signatures are believed.  table: what generators write; None = the table that comes with zhentu.
    """
    table = table or shipped_table()
    found: list[Evidence] = []
    # Metadata is hostile input; a reader that fails must not cost the picture or the other readers' findings.
    try:
        metadata = read_metadata(payload, picture_format)
    except Exception as error:
        return (_unreadable("read_metadata", error),)
    readers: dict[str, Callable[[Metadata], Iterable[Evidence]]] = {
        "xmp_evidence": xmp_evidence,
        "find_aigc_label": partial(find_aigc_label, table=table),
        "generator_traces": partial(generator_traces, table=table),
    }
    if picture_format == "PNG":
        readers["stealth_parameters"] = lambda _: stealth_parameters(payload)
    if picture_format in ("JPEG", "MPO") and any(payload.find(each, 2) > 0 for each in BEGINNINGS):  # most have none
        readers["further_files"] = lambda _: further_files(payload)
    readers["camera"] = camera
    if metadata.has_c2pa:
        readers = {"read_credential": lambda _: _credentials(payload, picture_format, lists), **readers}
    for name, reader in readers.items():
        try:
            found.extend(reader(metadata))
        except Exception as error:
            found.append(_unreadable(name, error))
    return tuple(dict.fromkeys(found))


def _credentials(payload: bytes, picture_format: str, lists: TrustLists) -> Iterable[Evidence]:
    credential = read_credential(payload, picture_format, lists)
    return credential_evidence(credential) if credential else ()


def _unreadable(reader: str, error: Exception) -> Evidence:
    detail = f"{reader}: {type(error).__name__}"
    facts = ((Fact.QUOTE, detail),)
    return Evidence(EvidenceKind.FILE, "metadata_unreadable", detail, Trust.MEASURED, "metadata", facts=facts)
