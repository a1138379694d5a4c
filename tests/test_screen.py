from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from conftest import encoded, photo
from fakes import FakeComparer, FakeDetector, verdict

from zhentu.decide.policy import Policy
from zhentu.detect.models import ModelEntry
from zhentu.errors import PictureCorrupt, PictureTruncated
from zhentu.intake.decode import DecodeLimits
from zhentu.screen import Screener
from zhentu.types import (
    Action,
    BankHit,
    BankKind,
    Basis,
    EarlierVerdict,
    EvidenceKind,
    Fingerprint,
    Inquiry,
    Listing,
    Mode,
    PictureFile,
    Record,
    Signal,
)


@dataclass
class FakeBank:
    hits: tuple[BankHit, ...] = ()

    def lookup(self, fingerprint: Fingerprint, listing: Listing) -> tuple[BankHit, ...]:
        return self.hits


@pytest.fixture
def detector(entry: ModelEntry) -> FakeDetector:
    return FakeDetector(entry)


@pytest.fixture
def look(detector: FakeDetector, policy: Policy):
    def run(payload: bytes = b"", references: Sequence[bytes] = (), earlier: EarlierVerdict | None = None, **parts):
        screener = replace(Screener(detector, policy, DecodeLimits()), **parts)
        inquiry = Inquiry.of(payload or encoded(photo(), "JPEG"))
        files = tuple(map(PictureFile.of, references))
        return screener.screen(replace(inquiry, references=files, earlier=earlier)).record

    return run


def names(record: Record) -> list[str]:
    return [each.name for each in record.evidence]


def test_each_step_leaves_evidence_in_order(look) -> None:
    record = look(bank=FakeBank(), comparer=FakeComparer(), references=[encoded(photo(seed=2), "PNG")])
    assert names(record) == ["bank_no_match", "model_scores", "reference_comparison"]
    assert record.verdict.basis is Basis.REFERENCE
    assert record.decision.action is Action.REVIEW


@pytest.mark.parametrize("kind", [BankKind.KNOWN_BAD, BankKind.ALLOWED])
def test_a_picture_whose_bytes_a_bank_holds_is_not_shown_to_the_model(look, detector, kind: BankKind) -> None:
    record = look(bank=FakeBank((BankHit("b", kind, "7", Signal.SHA256, note="seen in May"),)))
    assert (detector.asked, record.verdict) == (0, None)
    assert names(record) == [f"bank_{kind.value}", "model_not_asked"]
    assert "seen in May" in record.evidence[0].detail


def test_a_similar_picture_is_still_shown_to_the_model(look, detector) -> None:
    record = look(bank=FakeBank((BankHit("b", BankKind.ALLOWED, "7", Signal.PDQ, 12),)))
    assert detector.asked == 1
    assert "12 of 256 bits" in record.evidence[0].detail


def test_bytes_that_were_scored_before_are_not_scored_again(look, detector) -> None:
    earlier = replace(verdict(0.95), basis=Basis.REFERENCE)
    record = look(earlier=EarlierVerdict("r1", earlier, detector.entry.thresholds))
    assert detector.asked == 0
    assert record.verdict.scores == earlier.scores
    assert record.verdict.basis is Basis.PICTURE_ALONE
    assert record.evidence[-1].kind is EvidenceKind.HASH
    assert "record r1" in record.evidence[-1].detail
    assert record.decision.action is Action.REVIEW


def test_references_without_a_comparison_are_said_to_be_unused(look) -> None:
    record = look(references=[encoded(photo(seed=2), "PNG")])
    assert names(record)[-1] == "reference_not_compared"
    assert record.verdict.basis is Basis.PICTURE_ALONE


def test_a_broken_reference_is_named_as_one(look) -> None:
    with pytest.raises((PictureTruncated, PictureCorrupt), match="reference picture"):
        look(comparer=FakeComparer(), references=[encoded(photo((300, 300)), "JPEG")[:900]])


def test_switched_off_nothing_is_asked(look, detector, policy: Policy) -> None:
    hit = BankHit("b", BankKind.KNOWN_BAD, "7", Signal.SHA256)
    record = look(
        bank=FakeBank((hit,)), policy=replace(policy, mode=Mode.OFF), earlier=EarlierVerdict("r1", verdict(1.0), ())
    )
    assert (detector.asked, names(record), record.decision.action) == (0, [], Action.ALLOW)
