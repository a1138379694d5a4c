"""The gate's answer as a pipeline sees it, and the gate's problems as errors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from zhentu.errors import DependencyError, UsageError, ZhentuError
from zhentu.types import Action


@dataclass(frozen=True, slots=True)
class AnswerReason:
    """One reason, in English and Chinese."""

    code: str
    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do with a picture.

    action: obey this one.  assumed: the gate was not reached, and `on_error` decided; record_id is empty then.
    deferred: the gate let it through unscreened and screens it later.  notice_zh, notice_en: words owed around it.
    scores: calibrated probabilities by category and of `forged`, empty when the model was not asked.
    """

    action: Action
    record_id: str = ""
    sha256: str = ""
    decided: Action = Action.ALLOW
    reasons: tuple[AnswerReason, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    notice_en: str = ""
    notice_zh: str = ""
    assumed: bool = False
    deferred: bool = False


def answer_of(body: bytes) -> Answer:
    """Parse the answer of `POST /v1/screen`. Raises DependencyError if it is not one."""
    try:
        content: dict[str, Any] = json.loads(body)
        notice = content.get("notice") or {}
        return Answer(
            action=Action(content["action"]),
            record_id=content["record_id"],
            sha256=content["sha256"],
            decided=Action(content["decided"]),
            reasons=tuple(AnswerReason(each["code"], each["en"], each["zh"]) for each in content["reasons"]),
            scores=dict(content["scores"]),
            notice_en=notice.get("en", ""),
            notice_zh=notice.get("zh", ""),
            deferred=bool(content.get("deferred", False)),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DependencyError(f"what answered is not a zhentu gate ({type(error).__name__}); check base_url") from error


def assumed_answer(action: Action, cause: str) -> Answer:
    """What `on_error` decides while the gate cannot be reached."""
    reasons = {
        Action.ALLOW: AnswerReason(
            "gate_unreachable",
            f"The picture could not be checked ({cause}); it goes online and is checked as soon as possible.",
            "图片暂时无法检测，先行展示，恢复后将尽快补检。",
        ),
        Action.BLOCK: AnswerReason(
            "gate_unreachable",
            f"The picture could not be checked ({cause}) and is not published; upload it again later.",
            "图片暂时无法检测，未予发布，请稍后重新上传。",
        ),
    }
    return Answer(action, decided=action, reasons=(reasons[action],), assumed=True)


def error_of(status: int, body: bytes) -> ZhentuError:
    """A problem of the gate as the error it was there; UsageError or DependencyError where it has no known code."""
    try:
        content = json.loads(body)
        code, detail, zh = str(content["code"]), str(content["detail"]), str(content.get("zh", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        code, detail, zh = "", f"the gate answered {status}", ""
    for kind in _kinds(ZhentuError):
        if kind.code == code and kind.__init__ is Exception.__init__:
            return kind(detail).in_chinese(zh)
    return (DependencyError if status >= 500 or status == 429 else UsageError)(detail).in_chinese(zh)


def _kinds(root: type[ZhentuError]) -> list[type[ZhentuError]]:
    return [root, *(each for child in root.__subclasses__() for each in _kinds(child))]
