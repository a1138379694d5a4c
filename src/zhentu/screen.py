"""The straight line: inquiry -> picture -> evidence -> verdict -> decision -> screening, and nothing else.

A cascade, cheapest and surest first; each step leaves evidence: exact hash and banks, what the file says of itself,
the model, the comparison with references, the policy. A picture is decoded once, and whose bytes are known is not shown
to the model again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from zhentu.banks.hashing import fingerprint_of
from zhentu.decide.policy import Policy, decide, declaration
from zhentu.detect.models import ModelEntry
from zhentu.digest import digest_of
from zhentu.errors import PictureError
from zhentu.ids import new_id
from zhentu.intake.decode import DECODING_VERSION, DecodeLimits, decode
from zhentu.intake.provenance import read_provenance
from zhentu.types import (
    BankHit,
    BankKind,
    Basis,
    Category,
    Comparison,
    Decision,
    EarlierVerdict,
    Evidence,
    EvidenceKind,
    Fingerprint,
    Inquiry,
    Listing,
    Mode,
    ModelRef,
    Picture,
    PictureFile,
    Record,
    Screening,
    Signal,
    Threshold,
    Trust,
    Verdict,
)

_SETTLING = (BankKind.KNOWN_BAD, BankKind.ALLOWED)  # an exact hit in one of these says more than any score
_OF_THE_LISTING = (EvidenceKind.DECLARATION, EvidenceKind.REFERENCE, EvidenceKind.HASH)  # not of the bytes


class DetectorPort(Protocol):
    """What screening needs of a detector."""

    @property
    def entry(self) -> ModelEntry:
        """The manifest entry: thresholds travel with the model."""
        ...

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """Score one picture."""
        ...


class BankPort(Protocol):
    """Banks of known pictures; several threads may ask at once."""

    def lookup(self, fingerprint: Fingerprint, listing: Listing) -> tuple[BankHit, ...]:
        """Every entry the picture matches, surest first; empty when it is in no bank. Raises StoreError."""
        ...


@runtime_checkable
class VersionedBank(Protocol):
    """A bank that says when its entries changed: decisions made before are then not repeated from the store."""

    @property
    def version(self) -> str:
        """Another text after every change; cheap to ask, it is asked for every picture."""
        ...


class ComparerPort(Protocol):
    """Compares a picture with pictures known to show the real goods."""

    @property
    def model(self) -> ModelRef:
        """Which model compares."""
        ...

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The limits that ship with it, of basis REFERENCE."""
        ...

    def compare(self, picture: Picture, references: Sequence[Picture]) -> Comparison:
        """Compare with at least one reference."""
        ...


@dataclass(frozen=True, slots=True)
class Screener:
    """Everything that screening works with, built once; several threads may screen at once. It stores nothing."""

    detector: DetectorPort
    policy: Policy
    limits: DecodeLimits
    bank: BankPort | None = None
    comparer: ComparerPort | None = None
    c2pa_anchors: str = ""

    def screen(self, inquiry: Inquiry) -> Screening:
        """Screen one picture. Raises PictureError when it, or a reference, cannot be decoded."""
        began = time.perf_counter()
        picture = decode(inquiry.file.payload, self.limits, inquiry.file.sha256)
        if self.policy.mode is Mode.OFF:
            evidence = (*self._provenance(inquiry, picture), *declaration(inquiry.listing))
            decision = self.decide(None, evidence, inquiry.listing, picture.sha256)
            return Screening(_record(inquiry, picture, None, evidence, decision, began), picture)
        fingerprint = fingerprint_of(picture)
        hits = self.bank.lookup(fingerprint, inquiry.listing) if self.bank else ()
        settled = any(hit.signal is Signal.SHA256 and hit.kind in _SETTLING for hit in hits)
        earlier = None if settled or inquiry.with_heatmaps else inquiry.earlier
        verdict = None if settled else self._verdict(picture, earlier, inquiry.with_heatmaps)
        references = self._references(inquiry)
        comparison = self.comparer.compare(picture, references) if self.comparer and references else None
        if verdict is not None and comparison is not None:
            verdict = replace(verdict, basis=Basis.REFERENCE)
        evidence = (
            *_bank_evidence(hits, asked=self.bank is not None),
            *self._provenance(inquiry, picture),
            *declaration(inquiry.listing),
            *_model_evidence(verdict, earlier, settled),
            *_comparison_evidence(comparison, len(references), len(inquiry.references), self.comparer is not None),
        )
        shipped = earlier.thresholds if earlier else self.shipped()
        decision = self.decide(verdict, evidence, inquiry.listing, picture.sha256, shipped, hits, comparison)
        record = _record(inquiry, picture, verdict, evidence, decision, began)
        return Screening(record, picture, fingerprint, hits, comparison, len(references) if comparison else 0)

    def shipped(self, entry: ModelEntry | None = None) -> tuple[Threshold, ...]:
        """The thresholds of a model, by default the one in force, for the policy's profile and prior."""
        return (entry or self.detector.entry).thresholds_for(self.policy.profile, self.policy.prior)

    def earlier(self, record_id: str, verdict: Verdict, entry: ModelEntry) -> EarlierVerdict:
        """What a model said before, read as the policy in force reads it; it may have been read otherwise then."""
        return EarlierVerdict(record_id, entry.read_at(verdict, self.policy.prior), self.shipped(entry))

    def own_verdict(self, record: Record) -> Verdict | None:
        """What the model in force said in a record, read at its own prior: what drift is measured on."""
        return record.verdict and self.detector.entry.read_at(record.verdict, {})

    def decide(
        self,
        verdict: Verdict | None,
        evidence: Sequence[Evidence],
        listing: Listing,
        sha256: str,
        shipped: Sequence[Threshold] = (),
        hits: Sequence[BankHit] = (),
        comparison: Comparison | None = None,
    ) -> Decision:
        """What the policy says of what was found. shipped: thresholds of the model that spoke."""
        compared = self.comparer.thresholds if self.comparer else ()
        return decide(
            verdict,
            evidence,
            listing,
            self.policy,
            (*shipped, *compared),
            hits=hits,
            mismatch=comparison.score if comparison else None,
            picture_sha256=sha256,
        )

    def decide_again(self, screening: Screening, verdict: Verdict, entry: ModelEntry) -> Decision:
        """What the decision would be if another model, that of `entry`, had spoken; everything else as it was found."""
        record = screening.record
        verdict = entry.read_at(verdict, self.policy.prior)
        verdict = replace(verdict, basis=Basis.REFERENCE if screening.comparison else Basis.PICTURE_ALONE)
        return self.decide(
            verdict,
            record.evidence,
            record.listing,
            record.picture_sha256,
            self.shipped(entry),
            screening.hits,
            screening.comparison,
        )

    def for_listing(self, record: Record, path: str, listing: Listing, entry: ModelEntry) -> Record:
        """A record for the same bytes in another place, listing or policy, made without looking at the picture again.

        The verdict and what the file says of itself are the same. Not for pictures that banks or references are asked
        about. entry: of the model that spoke.
        """
        began = time.perf_counter()
        verdict = record.verdict and replace(
            entry.read_at(record.verdict, self.policy.prior), basis=Basis.PICTURE_ALONE
        )
        kept = (each for each in record.evidence if each.kind not in _OF_THE_LISTING)
        evidence = (*kept, *declaration(listing))
        return replace(
            record,
            record_id=new_id(),
            created_at=datetime.now(UTC),
            path=path,
            listing=listing,
            verdict=verdict,
            evidence=evidence,
            decision=self.decide(verdict, evidence, listing, record.picture_sha256, self.shipped(entry)),
            latency_ms=(time.perf_counter() - began) * 1e3,
        )

    def digest(self, model: ModelEntry | None = None) -> str:
        """Everything that decides besides the picture and what is asked of it, as one sha256 in hex.

        The same digest means that the same inquiry gets the same decision: what was decided may be repeated from the
        store. model: the one that spoke; the one in force by default.
        """
        entry = model or self.detector.entry
        return digest_of(
            {
                "model": [str(entry.ref), entry.sha256, entry.views, entry.calibration, entry.stated_prior],
                "thresholds": self.shipped(entry),
                "comparison": [self.comparer.model, self.comparer.thresholds] if self.comparer else [],
                "policy": self.policy.sha256,
                "banks": self.bank.version if isinstance(self.bank, VersionedBank) else "",
                "trust lists": self.c2pa_anchors,
                "decoding": [DECODING_VERSION, self.limits],
            }
        )

    def _verdict(self, picture: Picture, earlier: EarlierVerdict | None, with_heatmaps: bool) -> Verdict:
        if earlier is not None:
            return replace(earlier.verdict, basis=Basis.PICTURE_ALONE)
        return self.detector.entry.read_at(self.detector.detect(picture, with_heatmaps), self.policy.prior)

    def _references(self, inquiry: Inquiry) -> list[Picture]:
        if self.comparer is None:
            return []
        pictures = []
        for file in inquiry.references:
            try:
                pictures.append(self._reference(file))
            except PictureError:
                if not inquiry.skip_broken_references:
                    raise
        return pictures

    def _reference(self, file: PictureFile) -> Picture:
        try:
            return decode(file.payload, self.limits, file.sha256)
        except PictureError as error:
            raise type(error)(f"reference picture: {error}") from error

    def _provenance(self, inquiry: Inquiry, picture: Picture) -> tuple[Evidence, ...]:
        return tuple(read_provenance(inquiry.file.payload, picture.format, self.c2pa_anchors))


def _record(
    inquiry: Inquiry,
    picture: Picture,
    verdict: Verdict | None,
    evidence: tuple[Evidence, ...],
    decision: Decision,
    began: float,
) -> Record:
    return Record(
        record_id=new_id(),
        created_at=datetime.now(UTC),
        path=inquiry.path,
        picture_sha256=picture.sha256,
        picture_format=picture.format,
        width=picture.width,
        height=picture.height,
        byte_count=picture.byte_count,
        notes=picture.notes,
        listing=inquiry.listing,
        verdict=verdict,
        evidence=evidence,
        decision=decision,
        latency_ms=(time.perf_counter() - began) * 1e3,
    )


def _bank_evidence(hits: Sequence[BankHit], asked: bool) -> Iterator[Evidence]:
    for hit in hits:
        how = "the same bytes" if hit.signal is Signal.SHA256 else f"{hit.distance} of 256 bits differ"
        note = f": {hit.note}" if hit.note else ""
        detail = f"bank {hit.bank}, entry {hit.entry_id}, {hit.signal.value} ({how}){note}"[:300]
        yield Evidence(EvidenceKind.HASH, f"bank_{hit.kind.value}", detail, Trust.MEASURED, hit.bank)
    if asked and not hits:
        yield Evidence(EvidenceKind.HASH, "bank_no_match", "no bank knows this picture", Trust.MEASURED)


def _model_evidence(verdict: Verdict | None, earlier: EarlierVerdict | None, settled: bool) -> Iterator[Evidence]:
    if settled:
        yield Evidence(
            EvidenceKind.MODEL,
            "model_not_asked",
            "a bank knows these very bytes; the model was not run",
            Trust.MEASURED,
        )
    elif verdict is not None and earlier is not None:
        before = f"the same bytes were scored by {verdict.model} before, in record {earlier.record_id}"
        detail = f"{before}; the model was not run"
        yield Evidence(EvidenceKind.HASH, "known_picture", detail, Trust.MEASURED, score=verdict.scores.forged)
    elif verdict is not None:
        detail = f"{verdict.model} gives {verdict.scores.forged:.3f} that any of the five holds"
        yield Evidence(EvidenceKind.MODEL, "model_scores", detail, Trust.MEASURED, score=verdict.scores.forged)


def _comparison_evidence(comparison: Comparison | None, count: int, sent: int, installed: bool) -> Iterator[Evidence]:
    if comparison is not None:
        yield Evidence(
            EvidenceKind.REFERENCE,
            "reference_comparison",
            f"{comparison.model}: mismatch {comparison.score:.3f}, similarity {comparison.similarity:.3f} to the "
            f"closest of {count} references, sha256 {comparison.reference_sha256[:16]}",
            Trust.MEASURED,
            score=comparison.score,
            category=Category.MATERIAL_MISMATCH,
        )
    elif sent:
        why = "none could be decoded" if installed else "no comparison is installed"
        detail = f"{sent} reference pictures were sent, and {why}: they were not used"
        yield Evidence(EvidenceKind.REFERENCE, "reference_not_compared", detail, Trust.MEASURED)
