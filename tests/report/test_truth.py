"""What was found against what is true."""

from __future__ import annotations

import pytest

from zhentu.report.truth import Found, judge
from zhentu.types import CATEGORIES, Action, Category, Scores

LIMITS = dict.fromkeys(CATEGORIES, 0.9)


def scores(**high: float) -> Scores:
    return Scores(**(dict.fromkeys([*(each.value for each in CATEGORIES), "forged"], 0.1) | high))


@pytest.mark.parametrize(
    ("truth", "action", "high", "says_ai", "found", "why"),
    [
        (None, Action.ALLOW, {}, False, Found.RIGHT, "no score passes"),
        (None, Action.LABEL, {"ai_generated": 0.95}, False, Found.FALSE_ALARM, "AI-generated scores 0.95"),
        (Category.CUTOUT_ARTIFACT, Action.REVIEW, {"cutout_artifact": 0.97}, False, Found.CAUGHT, "the limit is 0.90"),
        (Category.CUTOUT_ARTIFACT, Action.ALLOW, {"cutout_artifact": 0.62}, False, Found.MISSED, "scores 0.62"),
        (Category.CUTOUT_ARTIFACT, Action.LABEL, {"ai_generated": 0.95}, False, Found.OTHERWISE, "scores 0.10"),
        (Category.AI_GENERATED, Action.LABEL, {}, True, Found.CAUGHT, "the file says itself"),
    ],
)  # fmt: skip
def test_a_decision_is_judged_by_the_truth(truth, action, high, says_ai, found: Found, why: str) -> None:
    judged = judge(truth, action, scores(**high), LIMITS, says_ai)
    assert judged.found is found
    assert why in judged.words.en
    assert judged.words.zh != judged.words.en


@pytest.mark.parametrize(("score", "said"), [(0.936, "scores 0.936, the limit is 0.942"), (0.5, "scores 0.50, ")])
def test_a_score_close_to_its_limit_is_told_from_it(score: float, said: str) -> None:
    limits = LIMITS | {Category.AI_GENERATED: 0.942}
    judged = judge(Category.AI_GENERATED, Action.ALLOW, scores(ai_generated=score), limits, False)
    assert said in judged.words.en
    assert f"得分 {said.split()[1].rstrip(',')}" in judged.words.zh


def test_a_category_without_a_limit_is_not_called_found() -> None:
    limits = LIMITS | {Category.SCENE_DISTORTION: None}
    judged = judge(Category.SCENE_DISTORTION, Action.ALLOW, scores(scene_distortion=0.99), limits, False)
    assert judged.found is Found.MISSED
    assert "was not compared with a limit" in judged.words.en
