"""An inquiry about a picture, its outcome, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from zhentu.types.pictures import Picture, PictureFile
from zhentu.types.values import (
    BankHit,
    Comparison,
    Decision,
    Evidence,
    Fingerprint,
    Listing,
    Threshold,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Record:
    """One screening, append-only. A decision can be explained from it alone.

    record_id: UUIDv7-like sortable identifier.  path: as the caller named the picture.
    verdict: None if the model was not asked (mode off).  latency_ms: decode + provenance + detector + policy.
    """

    record_id: str
    created_at: datetime
    path: str
    picture_sha256: str
    picture_format: str
    width: int
    height: int
    byte_count: int
    notes: tuple[str, ...]
    listing: Listing
    verdict: Verdict | None
    evidence: tuple[Evidence, ...]
    decision: Decision
    latency_ms: float

    @property
    def tenant(self) -> str:
        """Whose record it is."""
        return self.listing.tenant


@dataclass(frozen=True, slots=True)
class EarlierVerdict:
    """A model's earlier verdict on the same bytes, so that it is not asked again.

    record_id: where it is recorded; empty if that record is another tenant's.
    thresholds: those shipped with the model that spoke, for the policy in force.
    """

    record_id: str
    verdict: Verdict
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is asked about one picture.

    path: as the caller names it.  references: pictures known to show the real goods.
    skip_broken_references: leave out references that cannot be decoded; otherwise they are an error of the caller.
    """

    file: PictureFile
    path: str = ""
    listing: Listing = field(default_factory=Listing)
    references: tuple[PictureFile, ...] = ()
    skip_broken_references: bool = False
    with_heatmaps: bool = False
    earlier: EarlierVerdict | None = None

    @staticmethod
    def of(payload: bytes, path: str = "", listing: Listing | None = None, with_heatmaps: bool = False) -> Inquiry:
        """An inquiry about some bytes, without references."""
        return Inquiry(PictureFile.of(payload), path, listing or Listing(), with_heatmaps=with_heatmaps)


@dataclass(frozen=True, slots=True)
class Screening:
    """The outcome of an inquiry. It holds more than the record, so that nothing is decoded or hashed again.

    fingerprint: None if screening is switched off.  hits: entries of banks it matches.
    compared: references the picture was compared with.  left_out: place among those sent -> why it was not decoded.
    """

    record: Record
    picture: Picture
    fingerprint: Fingerprint | None = None
    hits: tuple[BankHit, ...] = ()
    comparison: Comparison | None = None
    compared: int = 0
    left_out: Mapping[int, str] = field(default_factory=dict)
