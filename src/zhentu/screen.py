"""The straight line: inquiry -> picture -> evidence -> verdict -> decision -> screening, and nothing else.

A cascade, cheapest and surest first; each step leaves evidence: exact hash and banks, what the file says about itself,
the model, the comparison with references, the policy. A picture is decoded once, and known bytes are not shown to the
model again. Of an animation several frames are looked at: the worst one's verdict counts, and a bank may match any.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from zhentu.banks.hashing import fingerprint_of
from zhentu.decide.findings import bank_evidence, comparison_evidence, model_evidence
from zhentu.decide.policy import Policy, decide, declaration
from zhentu.detect.entries import ModelEntry
from zhentu.digest import digest_of
from zhentu.errors import ModelError, PictureError, ZhentuError
from zhentu.ids import new_id
from zhentu.intake.credentials import ANY_SIGNER, TrustLists
from zhentu.intake.decode import DECODING_VERSION, DecodeLimits
from zhentu.intake.generators import GeneratorTable, shipped_table
from zhentu.intake.ports import IN_PROCESS, DecoderPort
from zhentu.intake.provenance import read_provenance
from zhentu.ports import BankPort, ComparerPort, DetectorPort, VersionedBank
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
    Frame,
    Inquiry,
    Listing,
    Mode,
    Picture,
    Record,
    Screening,
    Signal,
    Threshold,
    Verdict,
)

_SETTLING = (BankKind.KNOWN_BAD, BankKind.ALLOWED)  # an exact hit in one of these says more than any score
_DIGESTS_KEPT = 64  # of models and states of the banks
_OF_THE_LISTING = (EvidenceKind.DECLARATION, EvidenceKind.REFERENCE, EvidenceKind.HASH)  # not of the bytes


@dataclass(frozen=True, slots=True)
class _Look:
    """What banks and the model say about one frame; most pictures have only one."""

    picture: Picture
    fingerprint: Fingerprint
    hits: tuple[BankHit, ...]
    verdict: Verdict | None

    @property
    def settled(self) -> bool:
        """Whether a bank knows these very bytes."""
        return any(hit.signal is Signal.SHA256 and hit.kind in _SETTLING for hit in self.hits)


@dataclass(frozen=True, slots=True)
class Screener:
    """Everything that screening works with, built once; several threads may screen at once. It stores nothing."""

    detector: DetectorPort
    policy: Policy
    limits: DecodeLimits
    bank: BankPort | None = None
    comparer: ComparerPort | None = None
    trust_lists: TrustLists = ANY_SIGNER
    generators: GeneratorTable | None = None  # None: the table that comes with zhentu
    decoder: DecoderPort = IN_PROCESS
    detector_now: Callable[[], DetectorPort] | None = None  # which copy of the detector is to look, by the load
    model_timer: Callable[[float], None] | None = None  # called with the seconds that each call of the detector took
    _digests: dict[tuple[int, str], tuple[ModelEntry, str]] = field(default_factory=dict, init=False, compare=False)

    def screen(self, inquiry: Inquiry) -> Screening:
        """Screen one picture. Raises PictureError if it, or a reference, cannot be decoded."""
        began = time.perf_counter()
        pictures = self.decoder.frames(inquiry.file.payload, self.limits, inquiry.file.sha256)
        picture = pictures[0]
        if self.policy.mode is Mode.OFF:
            evidence = (*self._provenance(inquiry, picture), *declaration(inquiry.listing))
            decision = self.decide(None, evidence, inquiry.listing, picture.sha256)
            return Screening(_record(inquiry, picture, None, evidence, decision, began), picture)
        earlier = None if inquiry.with_heatmaps else inquiry.earlier
        looks = [self._look(each, inquiry, earlier) for each in pictures]
        shipped = earlier.thresholds if earlier else self.shipped()
        worst = max(looks, key=lambda look: self._gravity(look, inquiry.listing, shipped))
        picture, verdict = worst.picture, worst.verdict
        if verdict is not None and earlier is None and len(looks) > 1:
            verdict = replace(verdict, frame=picture.frame, frames_seen=len(looks))
        references, left_out = self._references(inquiry)
        comparison = self.comparer.compare(_main(pictures), references) if self.comparer and references else None
        if verdict is not None and comparison is not None:
            verdict = replace(verdict, basis=Basis.REFERENCE)
        evidence = (
            *bank_evidence(_found_in(looks), asked=self.bank is not None),
            *self._provenance(inquiry, picture),
            *declaration(inquiry.listing),
            *model_evidence(verdict, earlier, worst.settled),
            *comparison_evidence(comparison, len(references), len(inquiry.references), self.comparer is not None),
        )
        hits = tuple(dict.fromkeys(hit for look in looks for hit in look.hits))
        decision = self.decide(verdict, evidence, inquiry.listing, picture.sha256, shipped, hits, comparison)
        record = _record(inquiry, picture, verdict, evidence, decision, began)
        compared = len(references) if comparison else 0
        return Screening(record, picture, worst.fingerprint, hits, comparison, compared, left_out)

    def ask_model(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        """The detector's verdict on one picture, timed. Raises ModelError, whatever went wrong in it."""
        began = time.perf_counter()
        try:
            detector = self.detector if self.detector_now is None else self.detector_now()
            return detector.detect(picture, with_heatmaps)
        except ZhentuError:
            raise
        except Exception as error:  # ONNX Runtime's own exception types are private
            detail = f"{type(error).__name__}: {error}"
            raise ModelError(f"{self.detector.entry.ref}: the model failed: {detail}") from error
        finally:
            if self.model_timer is not None:
                self.model_timer(time.perf_counter() - began)

    def shipped(self, entry: ModelEntry | None = None) -> tuple[Threshold, ...]:
        """The thresholds of a model, by default the one in force, for the policy's profile and prior."""
        return (entry or self.detector.entry).thresholds_for(self.policy.profile, self.policy.prior)

    def lowest_limit(self, category: Category, goods: str) -> float | None:
        """The lowest score of a category that asks for an action, None if none does."""
        held = self.policy.thresholds(category, goods, self.shipped())
        return min((threshold.value for threshold in held), default=None)

    def earlier(self, record_id: str, verdict: Verdict, entry: ModelEntry) -> EarlierVerdict:
        """A model's earlier verdict, read as the policy in force reads it; it may have been read differently then."""
        return EarlierVerdict(record_id, entry.read_at(verdict, self.policy.prior), self.shipped(entry))

    def own_verdict(self, record: Record) -> Verdict | None:
        """The verdict of the model in force in a record, read at its own prior, for measuring drift."""
        return record.verdict and self.detector.entry.read_at(record.verdict, {})

    def decide(  # noqa: PLR0913 - as `decide` of the policy
        self,
        verdict: Verdict | None,
        evidence: Sequence[Evidence],
        listing: Listing,
        sha256: str,
        shipped: Sequence[Threshold] = (),
        hits: Sequence[BankHit] = (),
        comparison: Comparison | None = None,
    ) -> Decision:
        """What the policy decides about the findings. shipped: thresholds of the model that spoke."""
        compared = self.comparer.thresholds if self.comparer else ()
        return decide(
            verdict,
            evidence,
            listing,
            self.policy,
            (*shipped, *compared),
            hits=hits,
            comparison=comparison,
            picture_sha256=sha256,
        )

    def decide_again(self, screening: Screening, verdict: Verdict, entry: ModelEntry) -> Decision:
        """What the decision would be if the model of `entry` had been asked; everything else as it was found."""
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

        The verdict and what the file says about itself are the same. Not for pictures that banks or references are
        asked about. entry: of the model that spoke.
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
        """Everything that decides besides the picture and the inquiry, as one sha256 in hex.

        Under the same digest the same inquiry gets the same decision. model: the one that spoke, or that in force.
        """
        entry = model or self.detector.entry
        banks = self.bank.version if isinstance(self.bank, VersionedBank) else ""
        if known := self._digests.get((id(entry), banks)):
            return known[1]
        facts = {
            "model": [str(entry.ref), entry.sha256, entry.views, entry.calibration, entry.stated_prior],
            "thresholds": self.shipped(entry),
            "comparison": [self.comparer.model, self.comparer.thresholds] if self.comparer else [],
            "policy": self.policy.sha256,
            "banks": banks,
            "trust lists": self.trust_lists,
            "generators": (self.generators or shipped_table()).sha256,
            "decoding": [DECODING_VERSION, self.limits],
        }
        if len(self._digests) >= _DIGESTS_KEPT:
            self._digests.clear()
        digest = digest_of(facts)
        self._digests[id(entry), banks] = entry, digest  # the entry too, so that no other gets its id
        return digest

    def _look(self, picture: Picture, inquiry: Inquiry, earlier: EarlierVerdict | None) -> _Look:
        fingerprint = fingerprint_of(picture)
        hits = self.bank.lookup(fingerprint, inquiry.listing) if self.bank else ()
        look = _Look(picture, fingerprint, hits, None)
        if look.settled:
            return look
        if earlier is not None:
            return replace(look, verdict=replace(earlier.verdict, basis=Basis.PICTURE_ALONE))
        said = self.ask_model(picture, inquiry.with_heatmaps)
        return replace(look, verdict=self.detector.entry.read_at(said, self.policy.prior))

    def _gravity(self, look: _Look, listing: Listing, shipped: Sequence[Threshold]) -> tuple[bool, int, float]:
        """What makes one frame worse than another: being the one of an earlier verdict, action, score."""
        if look.verdict is None:
            return False, 0, 0.0
        spoken_of = look.picture.frame is not None and look.picture.frame == look.verdict.frame
        action = self.decide(look.verdict, (), listing, look.picture.sha256, shipped).action
        return spoken_of, action.severity, look.verdict.scores.forged

    def _references(self, inquiry: Inquiry) -> tuple[list[Picture], dict[int, str]]:
        """Those that can be decoded, and why the others cannot, by their place."""
        pictures, left_out = [], dict[int, str]()
        for place, file in enumerate(inquiry.references if self.comparer else ()):
            try:
                pictures.append(self.decoder.decode(file.payload, self.limits, file.sha256))
            except PictureError as error:
                if not inquiry.skip_broken_references:
                    raise type(error)(f"reference picture: {error}") from error
                left_out[place] = str(error)
        return pictures, left_out

    def _provenance(self, inquiry: Inquiry, picture: Picture) -> tuple[Evidence, ...]:
        return tuple(read_provenance(inquiry.file.payload, picture.format, self.trust_lists, self.generators))


def _main(pictures: Sequence[Picture]) -> Picture:
    """The frame that is shown longest: what references are compared with."""
    return next((each for each in pictures if each.frame and each.frame.main), pictures[0])


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


def _found_in(looks: Sequence[_Look]) -> dict[BankHit, Frame | None]:
    """Every match with the first frame it was found in."""
    found = {hit: look.picture.frame for look in reversed(looks) for hit in look.hits}
    return dict(reversed(found.items()))
