"""Findings against the truth, for pictures whose truth is known: the samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from zhentu.decide.notices import CATEGORY_NAMES
from zhentu.decide.words import Words
from zhentu.types import CATEGORIES, Action, Category, Scores


class Found(StrEnum):
    """How a decision compares with the truth."""

    RIGHT = "right"  # genuine, and left alone
    CAUGHT = "caught"  # untrue, and named for what it is
    OTHERWISE = "otherwise"  # untrue, and stopped under another name
    MISSED = "missed"  # untrue, and let through
    FALSE_ALARM = "false alarm"  # genuine, and not left alone


@dataclass(frozen=True, slots=True)
class Judgement:
    """One comparison with the truth, and the reason for its outcome."""

    found: Found
    words: Words


def judge(
    truth: Category | None,
    action: Action,
    scores: Scores | None,
    limits: Mapping[Category, float | None],
    says_ai: bool,
) -> Judgement:
    """Compare a decision with the truth.

    truth: the category of the picture, None if it is genuine.  scores: None if the model was not asked.
    limits: the lowest score of each category that asks for an action, None if none does.  says_ai: the file itself
    or its uploader says that AI made it.
    """
    over = [
        each for each in CATEGORIES if scores and (limit := limits.get(each)) is not None and scores.of(each) >= limit
    ]
    named = [*over, *([Category.AI_GENERATED] if says_ai and Category.AI_GENERATED not in over else [])]
    why_en = ", ".join(_why(each, scores, limits, says_ai).en for each in named)
    why_zh = "，".join(_why(each, scores, limits, says_ai).zh for each in named)
    if truth is None and action is Action.ALLOW:
        return Judgement(Found.RIGHT, Words("Right: no score passes its limit.", "正确：没有得分超过阈值。"))
    if truth is None:
        return Judgement(Found.FALSE_ALARM, Words(f"A false alarm: {why_en}.", f"误报：{why_zh}。"))
    if truth in named:
        return Judgement(Found.CAUGHT, Words(f"Caught: {why_en}.", f"已识别：{why_zh}。"))
    own = _why(truth, scores, limits, False)
    if action is not Action.ALLOW:
        words = Words(
            f"Stopped under another name: {why_en}; {own.en}.", f"以其他类别识别：{why_zh}；{own.zh}。"
        )  # fmt: skip
        return Judgement(Found.OTHERWISE, words)
    return Judgement(Found.MISSED, Words(f"Missed: {own.en}.", f"漏检：{own.zh}。"))


def _limit(limits: Mapping[Category, float | None], category: Category) -> float:
    found = limits.get(category)
    return math.inf if found is None else found


def _why(category: Category, scores: Scores | None, limits: Mapping[Category, float | None], says_ai: bool) -> Words:
    """One category in words: what it scored, and its limit."""
    name, limit = CATEGORY_NAMES[category], limits.get(category)
    if scores is None or limit is None:
        return Words(f"{name.en} was not compared with a limit", f"{name.zh}未与阈值比较")
    if category is Category.AI_GENERATED and says_ai:
        return Words("the file says itself that AI made it", "文件自身表明由 AI 生成")
    score = scores.of(category)
    # As many digits as tell the two apart: "scores 0.94, the limit is 0.94" explains nothing.
    digits = next((n for n in (2, 3) if f"{score:.{n}f}" != f"{limit:.{n}f}"), 4)
    said = f"{score:.{digits}f}", f"{limit:.{digits}f}"
    return Words(f"{name.en} scores {said[0]}, the limit is {said[1]}", f"{name.zh}得分 {said[0]}，阈值 {said[1]}")
