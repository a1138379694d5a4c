"""The straight line: bytes -> picture -> evidence -> verdict -> decision -> record, and nothing else."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from zhentu.decide.policy import Policy, decide, declaration
from zhentu.detect.models import ModelEntry
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.intake.provenance import read_provenance
from zhentu.record.codec import new_record_id
from zhentu.types import BankHit, Listing, Mode, Picture, Record, Verdict


class DetectorPort(Protocol):
    """What the line needs of a detector."""

    @property
    def entry(self) -> ModelEntry:
        """The manifest entry: thresholds travel with the model."""
        ...

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """Score one picture."""
        ...


class BankPort(Protocol):
    """Banks of known pictures, as the line asks them; several threads may ask at once."""

    def lookup(self, picture: Picture, listing: Listing) -> tuple[BankHit, ...]:
        """Every entry the picture matches, surest first; empty when it is in no bank. Raises StoreError."""
        ...


def screen(
    payload: bytes,
    *,
    detector: DetectorPort,
    policy: Policy,
    limits: DecodeLimits,
    path: str = "",
    listing: Listing | None = None,
    with_heatmaps: bool = False,
    c2pa_anchors: str = "",
) -> Record:
    """Screen one picture. Raises PictureError when it cannot be decoded; nothing is stored here."""
    began = time.perf_counter()
    listing = listing or Listing()
    picture = decode(payload, limits)
    evidence = (*read_provenance(payload, picture.format, c2pa_anchors), *declaration(listing))
    verdict = None if policy.mode is Mode.OFF else detector.detect(picture, with_heatmaps)
    decision = decide(verdict, evidence, listing, policy, detector.entry.thresholds)
    return Record(
        record_id=new_record_id(),
        created_at=datetime.now(UTC),
        path=path,
        picture_sha256=picture.sha256,
        picture_format=picture.format,
        width=picture.width,
        height=picture.height,
        byte_count=picture.byte_count,
        notes=picture.notes,
        listing=listing,
        verdict=verdict,
        evidence=evidence,
        decision=decision,
        latency_ms=(time.perf_counter() - began) * 1e3,
    )
