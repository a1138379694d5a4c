"""What people see of an animation is what is screened."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from conftest import photo
from fakes import FakeComparer, verdict
from PIL import Image

from zhentu.banks.hashing import MATCH_DISTANCE, fingerprint_of, hamming
from zhentu.decide.policy import Policy
from zhentu.detect.entries import ModelEntry
from zhentu.intake.decode import DecodeLimits, decode, decode_frame
from zhentu.screen import Screener
from zhentu.types import (
    Action,
    BankHit,
    BankKind,
    EarlierVerdict,
    Fingerprint,
    Inquiry,
    Listing,
    Picture,
    Signal,
    Verdict,
)

AI = Image.new("RGB", (96, 64), (240, 10, 10))
FORMS = ["GIF", "WEBP", "PNG", "AVIF", "TIFF"]


@dataclass
class SeesRed:
    """Takes red pictures for AI-made ones, and remembers what it saw."""

    entry: ModelEntry
    seen: list[Picture] = field(default_factory=list)

    def detect(self, picture: Picture, with_heatmaps: bool = False) -> Verdict:
        self.seen.append(picture)
        red = picture.rgb[..., 0].mean() - picture.rgb[..., 1].mean() > 150
        return verdict(0.1, ai_generated=0.99, forged=0.99) if red else verdict(0.1)


@dataclass
class KnowsTheLook:
    """A bank of one picture, found by its look."""

    bad: Fingerprint

    def lookup(self, fingerprint: Fingerprint, listing: Listing) -> tuple[BankHit, ...]:
        found = hamming(fingerprint.pdq, self.bad.pdq) <= MATCH_DISTANCE
        return (BankHit("bad", BankKind.KNOWN_BAD, "7", Signal.PDQ, 0),) if found else ()


@pytest.fixture
def screener(entry: ModelEntry, policy: Policy) -> Screener:
    return Screener(SeesRed(entry), policy, DecodeLimits())


def animation(form: str, frames: list[Image.Image], milliseconds: list[int]) -> bytes:
    stream = io.BytesIO()
    timed = {} if form == "TIFF" else {"duration": milliseconds, "loop": 0}
    frames[0].save(stream, form, save_all=True, append_images=frames[1:], **timed)
    return stream.getvalue()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", [0, 2, 4], ids=["first", "middle", "last"])
@pytest.mark.parametrize("shown", [20, 60_000])
def test_one_ai_frame_among_honest_ones_decides(form: str, place: int, shown: int, screener: Screener) -> None:
    frames = [photo(seed=seed) for seed in range(5)]
    times = [700] * 5
    frames[place], times[place] = AI, shown
    record = screener.screen(Inquiry.of(animation(form, frames, times))).record
    assert record.decision.action is Action.LABEL
    assert record.verdict is not None
    assert record.verdict.frame is not None
    assert record.verdict.frame.index == place
    (said,) = [each.detail for each in record.evidence if each.name == "model_scores"]
    assert f"frame {place + 1} of 5" in said


@pytest.mark.parametrize("form", FORMS)
def test_honest_frames_stay_honest_and_frames_alike_are_looked_at_once(form: str, screener: Screener) -> None:
    frames = [photo(seed=seed // 10) for seed in range(30)]
    for number, frame in enumerate(frames):
        frame.putpixel((number, 0), (number, 0, 0))  # no encoder may take them for one
    record = screener.screen(Inquiry.of(animation(form, frames, [100] * 30))).record
    assert record.decision.action is Action.ALLOW
    assert len(screener.detector.seen) == 3


def test_of_many_scenes_the_longest_and_the_most_different_are_looked_at(screener: Screener) -> None:
    frames = [photo(seed=seed) for seed in range(40)]
    frames[33] = AI
    times = [50] * 40
    times[7] = 9_000
    record = screener.screen(Inquiry.of(animation("WEBP", frames, times))).record
    assert record.decision.action is Action.LABEL
    assert len(screener.detector.seen) == 8
    assert [each.frame.index for each in screener.detector.seen if each.frame and each.frame.main] == [7]


def test_a_known_bad_frame_is_found_by_its_look_and_named(screener: Screener) -> None:
    bad = photo((320, 240), seed=9)
    known = fingerprint_of(decode(animation("PNG", [bad], [1])))
    frames = [photo((320, 240), seed=seed) for seed in (1, 2, 3)] + [bad]
    looked = replace(screener, bank=KnowsTheLook(known)).screen(Inquiry.of(animation("WEBP", frames, [100] * 4)))
    assert [hit.entry_id for hit in looked.hits] == ["7"]
    assert any("in frame 4 of 4" in each.detail for each in looked.record.evidence)


def test_the_pixels_of_the_frame_that_decided_can_be_had_again(screener: Screener) -> None:
    payload = animation("GIF", [photo(seed=1), AI, photo(seed=2)], [100] * 3)
    screening = screener.screen(Inquiry.of(payload))
    assert screening.record.verdict is not None
    again = decode_frame(payload, screening.record.verdict.frame)
    assert np.array_equal(again.rgb, screening.picture.rgb)
    assert again.rgb[..., 0].mean() > 200


def test_an_earlier_verdict_keeps_its_frame(screener: Screener, entry: ModelEntry) -> None:
    payload = animation("WEBP", [photo(seed=1), AI, photo(seed=2)], [100] * 3)
    first = screener.screen(Inquiry.of(payload)).record
    assert first.verdict is not None
    earlier = EarlierVerdict(first.record_id, first.verdict, entry.thresholds)
    again = screener.screen(replace(Inquiry.of(payload), earlier=earlier))
    assert again.picture.frame == first.verdict.frame == again.record.verdict.frame
    assert again.record.decision.action is first.decision.action


def test_references_are_compared_with_the_frame_that_is_shown_longest(screener: Screener) -> None:
    comparer = FakeComparer()
    payload = animation("WEBP", [AI, photo(seed=1), photo(seed=2)], [20, 9_000, 20])
    inquiry = replace(Inquiry.of(payload), references=Inquiry.of(animation("PNG", [photo(seed=3)], [1])).file)
    inquiry = replace(inquiry, references=(inquiry.references,))
    record = replace(screener, comparer=comparer).screen(inquiry).record
    assert any(each.name == "reference_comparison" for each in record.evidence)
