"""The straight line: bytes -> picture -> evidence -> verdict -> decision -> record, and nothing else.

A cascade, cheapest and surest first; each step leaves evidence: exact hash and banks, what the file says of itself,
the model, the comparison with references, the policy. A picture whose bytes are known is not shown to the model again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from zhentu.decide.policy import Policy, decide, declaration
from zhentu.detect.models import ModelEntry
from zhentu.errors import PictureError
from zhentu.intake.decode import DecodeLimits, decode
from zhentu.intake.credentials import TrustLists
from zhentu.intake.provenance import read_provenance
from zhentu.record.codec import new_record_id
from zhentu.types import (
    BankHit,
    BankKind,
    Basis,
    Evidence,
    EvidenceKind,
    Listing,
    Mode,
    ModelRef,
    Picture,
    Record,
    Signal,
    Trust,
    Verdict,
)

_SETTLING = (BankKind.KNOWN_BAD, BankKind.ALLOWED)  # an exact hit in one of these says more than any score


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


@runtime_checkable
class VersionedBank(Protocol):
    """A bank that says when its entries changed: decisions made before are then not repeated from the store."""

    @property
    def version(self) -> str:
        """Another text after every change; cheap to ask, it is asked for every picture."""
        ...


class ComparisonPort(Protocol):
    """What a comparison says. score: calibrated probability in [0, 1] of a material mismatch."""

    @property
    def score(self) -> float:
        """Probability of a material mismatch with the closest reference."""
        ...

    @property
    def similarity(self) -> float:
        """Likeness to the closest reference, in [-1, 1]."""
        ...

    @property
    def reference_sha256(self) -> str:
        """Which reference was closest."""
        ...

    @property
    def model(self) -> ModelRef:
        """What compared."""
        ...


class ComparerPort(Protocol):
    """Compares a picture with pictures known to show the real goods."""

    @property
    def review_threshold(self) -> float:
        """The score shipped with the comparison as the limit for review."""
        ...

    def compare(self, picture: Picture, references: Sequence[Picture]) -> ComparisonPort:
        """Compare with at least one reference."""
        ...


class KnownPort(Protocol):
    """What was said of the same bytes before."""

    def verdict_for(self, sha256: str, model_sha256: str) -> tuple[str, Verdict] | None:
        """Record id and verdict of an earlier screening of these bytes by this model, None when there is none."""
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
    references: Sequence[bytes] = (),
    bank: BankPort | None = None,
    comparer: ComparerPort | None = None,
    known: KnownPort | None = None,
    c2pa_anchors: str = "",
) -> Record:
    """Screen one picture. Raises PictureError when it cannot be decoded; nothing is stored here."""
    began = time.perf_counter()
    listing = listing or Listing()
    picture = decode(payload, limits)
    off = policy.mode is Mode.OFF
    hits = bank.lookup(picture, listing) if bank and not off else ()
    settled = any(hit.signal is Signal.SHA256 and hit.kind in _SETTLING for hit in hits)
    earlier = None if off or settled or not known else known.verdict_for(picture.sha256, detector.entry.sha256)
    verdict: Verdict | None = None
    if earlier is not None and not with_heatmaps:
        verdict = replace(earlier[1], basis=Basis.PICTURE_ALONE)
    elif not off and not settled:
        verdict = detector.detect(picture, with_heatmaps)
    comparison = None
    if references and comparer and not off:
        comparison = comparer.compare(picture, [_reference(each, limits) for each in references])
        verdict = verdict and replace(verdict, basis=Basis.REFERENCE)
    evidence = (
        *_bank_evidence(hits, asked=bank is not None and not off),
        *read_provenance(payload, picture.format, TrustLists(c2pa_anchors)),
        *declaration(listing),
        *_model_evidence(verdict, earlier[0] if earlier and not with_heatmaps else "", settled),
        *_comparison_evidence(comparison, len(references), off),
    )
    decision = decide(
        verdict,
        evidence,
        listing,
        policy,
        {**detector.entry.thresholds, **({"comparison.review": comparer.review_threshold} if comparer else {})},
        hits=hits,
        mismatch=comparison.score if comparison else None,
        picture_sha256=picture.sha256,
    )
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


def _reference(payload: bytes, limits: DecodeLimits) -> Picture:
    try:
        return decode(payload, limits)
    except PictureError as error:
        raise type(error)(f"reference picture: {error}") from error


def _bank_evidence(hits: Sequence[BankHit], asked: bool) -> Iterator[Evidence]:
    for hit in hits:
        how = "the same bytes" if hit.signal is Signal.SHA256 else f"{hit.distance} of 256 bits differ"
        note = f": {hit.note}" if hit.note else ""
        detail = f"bank {hit.bank}, entry {hit.entry_id}, {hit.signal.value} ({how}){note}"[:300]
        yield Evidence(EvidenceKind.HASH, f"bank_{hit.kind.value}", detail, Trust.MEASURED, hit.bank)
    if asked and not hits:
        yield Evidence(EvidenceKind.HASH, "bank_no_match", "no bank knows this picture", Trust.MEASURED)


def _model_evidence(verdict: Verdict | None, earlier: str, settled: bool) -> Iterator[Evidence]:
    if settled:
        yield Evidence(
            EvidenceKind.MODEL,
            "model_not_asked",
            "a bank knows these very bytes; the model was not run",
            Trust.MEASURED,
        )
    elif verdict is not None and earlier:
        detail = f"the same bytes were scored by {verdict.model} before, in record {earlier}; the model was not run"
        yield Evidence(EvidenceKind.HASH, "known_picture", detail, Trust.MEASURED, score=verdict.scores.forged)
    elif verdict is not None:
        detail = f"{verdict.model} gives {verdict.scores.forged:.3f} that any of the five holds"
        yield Evidence(EvidenceKind.MODEL, "model_scores", detail, Trust.MEASURED, score=verdict.scores.forged)


def _comparison_evidence(comparison: ComparisonPort | None, count: int, off: bool) -> Iterator[Evidence]:
    if comparison is not None:
        detail = (
            f"{comparison.model}: mismatch {comparison.score:.3f}, similarity {comparison.similarity:.3f} to the "
            f"closest of {count} references, sha256 {comparison.reference_sha256[:16]}"
        )
        yield Evidence(EvidenceKind.REFERENCE, "reference_comparison", detail, Trust.MEASURED, score=comparison.score)
    elif count and not off:
        detail = f"{count} reference pictures were sent, and no comparison is installed: they were not used"
        yield Evidence(EvidenceKind.REFERENCE, "reference_not_compared", detail, Trust.MEASURED)
