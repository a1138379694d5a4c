from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import encoded, photo
from fakes import FakeComparer, FakeDetector, change_manifest, profiles, verdict

from zhentu.decide.policy import Policy
from zhentu.detect.entries import ModelEntry
from zhentu.detect.models import Manifest
from zhentu.errors import PictureCorrupt, PictureTruncated
from zhentu.intake.decode import DecodeLimits
from zhentu.screen import Screener
from zhentu.types import (
    CATEGORIES,
    Action,
    BankHit,
    BankKind,
    Basis,
    Category,
    EarlierVerdict,
    EvidenceKind,
    Fingerprint,
    Inquiry,
    Listing,
    Mode,
    PictureFile,
    Profile,
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


def test_a_prior_changes_what_is_read_and_what_numbers_hold_but_not_what_the_model_s_thresholds_let_through(
    look, detector: FakeDetector, policy: Policy
) -> None:
    detector.score = 0.85  # labelled from 0.8, reviewed from 0.9
    rare = replace(policy, prior=dict.fromkeys(CATEGORIES, 0.01))
    plain, moved = look(), look(policy=rare)
    assert moved.verdict.scores.ai_generated == pytest.approx(0.0541, abs=1e-4)
    assert moved.decision.action is plain.decision.action is Action.LABEL
    assert moved.verdict.prior == rare.prior
    own = {(Category.AI_GENERATED, ""): {Action.LABEL: 0.8}}
    assert look(policy=replace(rare, limits=own)).decision.action is Action.ALLOW
    assert look(policy=replace(policy, limits=own)).decision.action is Action.LABEL


def test_a_verdict_from_before_is_read_at_the_prior_in_force(detector: FakeDetector, policy: Policy) -> None:
    before = Screener(detector, replace(policy, prior={Category.AI_GENERATED: 0.01}), DecodeLimits())
    detector.score = 0.85
    inquiry = Inquiry.of(encoded(photo(), "JPEG"))
    record = before.screen(inquiry).record
    now = replace(before, policy=replace(policy, prior={Category.AI_GENERATED: 0.3}))
    earlier = now.earlier(record.record_id, record.verdict, detector.entry)
    again = now.screen(replace(inquiry, earlier=earlier)).record
    moved = now.for_listing(record, "elsewhere", Listing(), detector.entry)
    fresh = now.screen(inquiry).record
    for each in (again, moved):
        assert each.verdict.scores.as_dict() == pytest.approx(fresh.verdict.scores.as_dict())
        assert each.decision.action is fresh.decision.action is Action.LABEL
    assert detector.asked == 2
    own, asked = now.own_verdict(fresh).scores, detector.detect(None).scores
    assert [own.of(each) for each in CATEGORIES] == pytest.approx([asked.of(each) for each in CATEGORIES])


def test_the_digest_is_made_once_and_anew_when_banks_policy_or_model_change(
    detector: FakeDetector, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Changing:
        version = "1"

        def lookup(self, fingerprint: Fingerprint, listing: Listing) -> tuple[BankHit, ...]:
            return ()

    made = []
    monkeypatch.setattr("zhentu.screen.digest_of", lambda facts: made.append(facts) or f"digest {len(made)}")
    bank = Changing()
    screener = Screener(detector, policy, DecodeLimits(), bank)
    assert [screener.digest(), screener.digest(detector.entry)] == ["digest 1", "digest 1"]
    bank.version = "2"
    assert screener.digest() == "digest 2"
    assert screener.digest(replace(detector.entry, prior=0.1)) == "digest 3"
    assert replace(screener, policy=replace(policy, profile=Profile.STRICT)).digest() == "digest 4"


def test_what_decides_differs_with_profile_and_prior(detector: FakeDetector, policy: Policy, tmp_path: Path) -> None:
    change_manifest(tmp_path / "models", profiles=profiles({"careful": 0.95, "balanced": 0.8, "strict": 0.6}))
    entry = Manifest.load(tmp_path / "models").active_entry
    policies = [policy, replace(policy, profile=Profile.STRICT), replace(policy, prior={Category.AI_GENERATED: 0.1})]
    screeners = [Screener(FakeDetector(entry, 0.7), each, DecodeLimits()) for each in policies]
    assert len({screener.digest() for screener in screeners}) == 3
    inquiry = Inquiry.of(encoded(photo(), "JPEG"))
    decisions = [screener.screen(inquiry).record.decision for screener in screeners]
    assert [each.action for each in decisions] == [Action.ALLOW, Action.REVIEW, Action.ALLOW]
    assert [each.profile for each in decisions] == [Profile.BALANCED, Profile.STRICT, Profile.BALANCED]


def test_a_picture_that_the_whole_look_settled_says_so(look, detector, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no crop" not in look().evidence[-1].detail
    monkeypatch.setattr(detector, "detect", lambda picture, with_heatmaps=False: replace(verdict(), crops_seen=0))
    assert "no crop was looked at" in look().evidence[-1].detail
