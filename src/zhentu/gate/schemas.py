"""What the gate answers, as OpenAPI knows it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from zhentu.decide.notices import AI_NOTICES
from zhentu.types import Record


class ReasonAnswer(BaseModel):
    """One reason, in both languages."""

    code: str = Field(examples=["score_cutout_artifact"])
    action: str = Field(examples=["review"])
    en: str
    zh: str
    score: float | None = None
    threshold: float | None = None


class EvidenceAnswer(BaseModel):
    """One observed fact."""

    kind: str
    name: str
    detail: str
    trust: str
    location: str


class NoticeAnswer(BaseModel):
    """The AI notice owed around the picture (state 1 is, 2 possibly, 3 suspected)."""

    state: int
    en: str
    zh: str


class ScreenAnswer(BaseModel):
    """The decision about one picture."""

    record_id: str
    sha256: str
    width: int
    height: int
    action: str = Field(description="What is in force: allow, label, review or block.", examples=["review"])
    decided: str = Field(description="What the policy asks for; differs from action in shadow mode.")
    mode: str
    scores: dict[str, float] = Field(description="Calibrated probabilities; empty when the model was not asked.")
    reasons: list[ReasonAnswer]
    evidence: list[EvidenceAnswer]
    notice: NoticeAnswer | None
    model: str
    policy: str
    latency_ms: float


class ProblemAnswer(BaseModel):
    """RFC 9457 problem details; `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(examples=["picture_truncated"])


def answer_of(record: Record) -> ScreenAnswer:
    """The answer a record stands for."""
    decision, verdict = record.decision, record.verdict
    state = decision.ai_state
    return ScreenAnswer(
        record_id=record.record_id,
        sha256=record.picture_sha256,
        width=record.width,
        height=record.height,
        action=decision.applied.value,
        decided=decision.action.value,
        mode=decision.mode.value,
        scores=verdict.scores.as_dict() if verdict else {},
        reasons=[
            ReasonAnswer(
                code=each.code,
                action=each.action.value,
                en=each.en,
                zh=each.zh,
                score=each.score,
                threshold=each.threshold,
            )
            for each in decision.reasons
        ],
        evidence=[
            EvidenceAnswer(
                kind=each.kind.value, name=each.name, detail=each.detail, trust=each.trust.value, location=each.location
            )
            for each in record.evidence
        ],
        notice=None
        if state is None
        else NoticeAnswer(state=int(state), en=AI_NOTICES[state].en, zh=AI_NOTICES[state].zh),
        model=str(verdict.model) if verdict else "",
        policy=decision.policy_version,
        latency_ms=record.latency_ms,
    )
