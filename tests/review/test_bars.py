"""What a reviewer sees of the scores: each against its own thresholds, and none judged without one."""

from __future__ import annotations

from dataclasses import replace

from review_fixtures import record

from zhentu.review.web.views import bars_of
from zhentu.types import Action, Basis, Category, Evidence, EvidenceKind, Record, Threshold, Trust


def made(**scores: float) -> Record:
    plain = record(1, 0.9, **scores)
    alone = Threshold(Category.CUTOUT_ARTIFACT, Action.REVIEW, 0.8, Basis.PICTURE_ALONE)
    compared = Threshold(Category.MATERIAL_MISMATCH, Action.REVIEW, 0.96, Basis.REFERENCE)
    return replace(plain, decision=replace(plain.decision, thresholds=(alone, compared)))


def test_a_comparison_has_a_bar_of_its_own_against_its_own_threshold() -> None:
    found = Evidence(EvidenceKind.REFERENCE, "reference_comparison", "mismatch 0.98", Trust.MEASURED, score=0.98)
    (first, *others) = bars_of(replace(made(cutout_artifact=0.2), evidence=(found,)))
    assert (first.score, first.thresholds, first.over) == (0.98, (0.96,), True)
    assert [each.thresholds for each in others if each.category is Category.MATERIAL_MISMATCH] == [()]
    assert len(bars_of(made(cutout_artifact=0.2))) == len(others) == 6


def test_a_score_without_a_threshold_decides_nothing() -> None:
    bars = bars_of(made(cutout_artifact=0.9))
    assert [each.category for each in bars if each.over] == [Category.CUTOUT_ARTIFACT]
    assert bars[-1].score == 0.9


def test_a_record_that_no_model_saw_shows_no_scores() -> None:
    assert bars_of(replace(made(), verdict=None)) == ()
