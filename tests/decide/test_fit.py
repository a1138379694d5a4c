from __future__ import annotations

import numpy as np
import pytest
from fakes import thresholds, verdict

from zhentu.decide.fit import fit_action
from zhentu.decide.policy_edit import with_thresholds
from zhentu.decide.policy_file import default_policy_path, parse_policy
from zhentu.errors import ConfigError, UsageError
from zhentu.types import FORGERY_CATEGORIES, Action, Category, Scores

TEXT = """# mine
version: "7"  # the seventh
mode: enforce
thresholds:
  material_mismatch: {review: model, block: off}  # keep me
  exaggerated_effect:
    block: 0.9999
  ai_generated: {}
  "cutout_artifact:jewelry": {review: 0.2}
"""
NEW = thresholds(
    {
        "material_mismatch": {"review": 0.5},
        "exaggerated_effect": {"review": 0.6},
        "cutout_artifact": {"review": 0.7},
        "ai_generated": {"label": 0.8},
    }
)


def drawn(count: int, seed: int, low: float = 0.0) -> list[Scores]:
    rows = np.random.default_rng(seed).beta(0.5, 6, (count, 5)) * (1 - low) + low
    return [verdict(0, **dict(zip(Category, map(float, row), strict=True))).scores for row in rows]


def acted(scores: list[Scores], limits: tuple) -> float:
    return sum(any(each.of(limit.category) >= limit.value for limit in limits) for each in scores) / len(scores)


@pytest.mark.parametrize(("action", "rate"), [(Action.REVIEW, 0.01), (Action.REVIEW, 0.1), (Action.LABEL, 0.02)])
def test_new_pictures_are_acted_on_as_often_as_wished_all_categories_together(action: Action, rate: float) -> None:
    seen = [fit_action(action, rate, drawn(1000, seed)) for seed in range(20)]
    assert all(each.alarms / each.pictures <= rate for each in seen)
    fresh = drawn(10_000, 99)
    mean = float(np.mean([acted(fresh, each.thresholds) for each in seen]))
    assert mean == pytest.approx(rate, rel=0.25)


def test_review_is_of_the_four_and_label_of_ai_generated() -> None:
    review, label = (fit_action(action, 0.1, drawn(100, 1)) for action in (Action.REVIEW, Action.LABEL))
    assert [each.category for each in review.thresholds] == list(FORGERY_CATEGORIES)
    assert [each.category for each in label.thresholds] == [Category.AI_GENERATED]


def test_too_few_pictures_are_said_to_be_and_none_of_them_is_acted_on() -> None:
    scores = drawn(299, 3)
    few = fit_action(Action.LABEL, 0.01, scores)
    assert (few.too_few, few.needed) == (True, 300)
    assert not fit_action(Action.LABEL, 0.01, drawn(300, 3)).too_few
    lone = fit_action(Action.REVIEW, 0.01, scores[:5])
    assert (lone.alarms, acted(scores[:5], lone.thresholds)) == (0, 0)


def test_as_many_are_acted_on_as_the_rate_allows_and_not_one_more() -> None:
    assert fit_action(Action.LABEL, 0.05, drawn(199, 5)).alarms == 9  # with the next picture, 10 of 200


@pytest.mark.parametrize("score", [0.0, 1e-7, 0.0003, 0.0157, 0.29, 0.5, 0.9037, 0.99995, 0.9999999])
def test_equal_scores_lie_all_below_the_threshold(score: float) -> None:
    (limit,) = fit_action(Action.LABEL, 0.01, [verdict(score).scores] * 50).thresholds
    assert score < limit.value <= 1
    assert limit.value - score < max(2e-3 * min(score, 1 - score), 2e-4)


def test_what_cannot_be_fitted_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match=r"3 of 3 pictures score 1\.0"):
        fit_action(Action.LABEL, 0.01, [verdict(1.0).scores] * 3)
    for rate in (0.0, -1.0, 0.6, float("nan")):
        with pytest.raises(UsageError, match="--review"):
            fit_action(Action.REVIEW, rate, drawn(10, 1))
    with pytest.raises(UsageError, match="no picture"):
        fit_action(Action.REVIEW, 0.1, [])


def test_a_policy_keeps_all_but_its_thresholds() -> None:
    changed = with_thresholds(TEXT, "p.yaml", NEW, "7 fitted", "today")
    policy, before = parse_policy(changed, "p"), parse_policy(TEXT, "p")
    held = {(each.category, each.action): each.value for each in NEW}
    for category, action in held:
        assert policy.limits[category, ""][action] == held[category, action]
    assert policy.limits[Category.EXAGGERATED_EFFECT, ""][Action.BLOCK] == 0.9999
    assert policy.limits[Category.CUTOUT_ARTIFACT, "jewelry"] == before.limits[Category.CUTOUT_ARTIFACT, "jewelry"]
    assert policy.version == "7 fitted"
    assert all(words in changed for words in ("# mine", "# the seventh", "# keep me", "block: off"))


def test_fitting_again_changes_the_note_and_not_the_shipped_comments() -> None:
    text = default_policy_path().read_text(encoding="utf-8")
    once = with_thresholds(text, "p", NEW, "1", "first")
    twice = with_thresholds(once, "p", NEW, "1", "second")
    assert "first" not in twice
    assert twice.replace("second", "first") == once
    assert [line for line in once.splitlines() if line.startswith("#")][1:] == [
        line for line in text.splitlines() if line.startswith("#")
    ]


def test_a_text_that_cannot_carry_them_is_left_alone() -> None:
    shared = TEXT.replace("{review: model, block: off}", "&one {review: model, block: off}")
    shared = shared.replace("ai_generated: {}", "scene_distortion: *one")
    with pytest.raises(ConfigError, match="one YAML node"):
        with_thresholds(shared, "p", NEW, "7", "today")
    with pytest.raises(ConfigError, match="graver action needs the higher score"):
        with_thresholds(TEXT.replace("0.9999", "0.3"), "p", NEW, "7", "today")
