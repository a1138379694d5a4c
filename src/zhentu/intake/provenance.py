"""What a file says of itself: AI marks in XMP, EXIF, PNG text, the AIGC label, C2PA presence, camera EXIF.

Sources of the rules: IPTC digital source types (cv.iptc.org), GB 45438-2025 Annex E and TC260-PG-20259A for the AIGC
label. Nothing here is signed evidence: a C2PA manifest is reported as present and not validated, and says nothing
about AI. Reading never raises and is bounded in time and memory, whatever the file holds.
"""

from __future__ import annotations

from collections.abc import Iterator

from zhentu.intake.aigc import find_aigc_label
from zhentu.intake.metadata import Metadata, read_metadata
from zhentu.intake.traces import camera, generator_traces
from zhentu.intake.xmp import xmp_evidence
from zhentu.types import Evidence, EvidenceKind, Trust


def read_provenance(payload: bytes, picture_format: str) -> tuple[Evidence, ...]:
    """Every finding in the file, each with where it stood and how far it can be trusted."""
    metadata = read_metadata(payload, picture_format)
    found: list[Evidence] = []
    for reader in (xmp_evidence, find_aigc_label, generator_traces, camera, _c2pa):
        try:
            found.extend(reader(metadata))
        # Metadata is hostile input; what one reader cannot take must not cost the picture or the other readers.
        except Exception as error:
            found.append(_unreadable(reader.__name__, error))
    return tuple(dict.fromkeys(found))


def _c2pa(metadata: Metadata) -> Iterator[Evidence]:
    if metadata.has_c2pa:
        yield Evidence(
            EvidenceKind.PROVENANCE,
            "c2pa_present",
            "a C2PA manifest is present; its signature was not validated, so it says nothing yet",
            Trust.FORGEABLE,
            "C2PA",
        )


def _unreadable(reader: str, error: Exception) -> Evidence:
    return Evidence(
        EvidenceKind.FILE, "metadata_unreadable", f"{reader}: {type(error).__name__}", Trust.MEASURED, "metadata"
    )
