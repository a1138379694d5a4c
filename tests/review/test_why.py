"""An item always says why it is here, and an empty desk what to do next, in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from review_fixtures import record

from zhentu.decide.notices import NOTHING_FOUND
from zhentu.review.fill import item_row
from zhentu.review.items import Filters, ItemKind, QueueCounts, ReviewItem
from zhentu.review.web.why import grounds, what_next, why_here
from zhentu.types import Action, Decision, Reason, ReasonKind


def item(kind: ItemKind, made) -> ReviewItem:
    row = item_row(made, kind, None, "group", 1.0)
    columns = {name: row[name] for name in ReviewItem.__dataclass_fields__ if name in row}
    return ReviewItem(**(columns | {"kind": kind, "not_by": ()}))


def decided(action: Action) -> object:
    nothing = Reason(ReasonKind.NOTHING_FOUND, "nothing_found", Action.ALLOW, NOTHING_FOUND.en, NOTHING_FOUND.zh)
    asked = Reason(ReasonKind.SCORE, "score_cutout_artifact", action, "The goods look cut out.", "商品疑似抠图。")
    made = record(1)
    decision: Decision = made.decision
    reasons = (nothing,) if action is Action.ALLOW else (nothing, asked)
    return replace(made, decision=replace(decision, action=action, applied=action, reasons=reasons))


@pytest.mark.parametrize("kind", list(ItemKind))
@pytest.mark.parametrize("action", list(Action))
def test_every_item_says_why_it_is_here(kind: ItemKind, action: Action) -> None:
    made = decided(action)
    words = why_here(item(kind, made), made)
    assert words.en
    assert words.zh
    shown = [words.en, *(each.en for each in grounds(made))]
    assert NOTHING_FOUND.en not in shown
    if words.en.endswith(":"):
        assert grounds(made)


@pytest.mark.parametrize("kind", [ItemKind.APPEAL, ItemKind.SCREENING])
@pytest.mark.parametrize("action", [Action.REVIEW, Action.BLOCK, Action.LABEL])
def test_an_item_without_reasons_names_its_highest_score(kind: ItemKind, action: Action) -> None:
    made = record(1, 0.4, action=action, cutout_artifact=0.96)
    words = why_here(item(kind, made), made)
    assert words.en.endswith("; no reason was recorded. The highest score is 0.96, of: Visible cut-out.")
    assert words.zh.endswith("；未记录原因。最高得分 0.96：抠图贴图失真。")
    assert "because" not in words.en
    assert "原因：" not in words.zh
    words = why_here(item(kind, made), replace(made, verdict=None))
    assert "the model was not asked" in words.en
    assert "模型未评分" in words.zh


def test_the_gravest_ground_stands_first() -> None:
    made = decided(Action.BLOCK)
    label = Reason(ReasonKind.PROVENANCE, "provenance_x", Action.LABEL, "label", "标识")
    made = replace(made, decision=replace(made.decision, reasons=(label, *made.decision.reasons)))
    assert [each.action for each in grounds(made)] == [Action.BLOCK, Action.LABEL]


def counts(open_: int = 0) -> QueueCounts:
    return QueueCounts(open_, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("here", "everywhere", "screened", "en", "zh"),
    [
        (3, 3, True, "on other desks", "他人处理"),
        (0, 7, True, "Clear the filters", "清除筛选"),
        (0, 0, False, "zhentu scan", "zhentu scan"),
        (0, 0, True, "Everything is decided", "全部处理完毕"),
    ],
)
def test_an_empty_desk_says_what_to_do_next(here: int, everywhere: int, screened: bool, en: str, zh: str) -> None:
    words = what_next(Filters(), counts(here), counts(everywhere), screened)
    assert en in words.en
    assert zh in words.zh
