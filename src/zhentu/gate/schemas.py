"""What the gate answers, as OpenAPI knows it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from zhentu.decide.evidence_words import evidence_zh, place_zh
from zhentu.decide.notices import AI_NOTICES
from zhentu.mark.badge import WORDS
from zhentu.types import AiState, LabelLanguage, ReasonKind, Record


class ReasonAnswer(BaseModel):
    """One reason, in both languages."""

    code: str = Field(examples=["score_cutout_artifact"])
    action: str = Field(examples=["review"])
    en: str
    zh: str
    score: float | None = None
    threshold: float | None = None


class EvidenceAnswer(BaseModel):
    """One observed fact; detail and location in Chinese too, for sellers and reviewers."""

    kind: str
    name: str
    detail: str
    trust: str
    location: str
    detail_zh: str
    location_zh: str


class NoticeAnswer(BaseModel):
    """The AI notice required around the picture (state 1 is, 2 possibly, 3 suspected)."""

    state: int
    en: str
    zh: str


class LabelAnswer(BaseModel):
    """The label the picture needs: words for its edge, and `Label` of its AIGC metadata (GB 45438-2025, Annex E)."""

    en: str = Field(examples=["Possibly AI-generated"])
    zh: str = Field(examples=["可能为AI生成"])
    aigc_label: str = Field(description="1 is, 2 possibly, 3 suspected.", examples=["2"])


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
    label: LabelAnswer | None
    basis: str = Field(description="What the scores stand on: picture alone or reference; empty without scores.")
    deferred: bool = Field(description="Allowed unscreened because the gate is in trouble; screened later.")
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
    zh: str = Field("", description="The same for sellers and reviewers who read Chinese, often in general words.")


class ItemAnswer(BaseModel):
    """The outcome for one picture of a batch or job: an answer or a problem."""

    position: int
    status: str = Field(description="queued, running, done or failed", examples=["done"])
    answer: ScreenAnswer | None = None
    problem: ProblemAnswer | None = None


class BatchAnswer(BaseModel):
    """One item per picture, in the order sent."""

    items: list[ItemAnswer]


class JobAnswer(BaseModel):
    """A job and what has become of its pictures so far."""

    job_id: str
    finished: bool
    callback_url: str
    items: list[ItemAnswer]


class InForceAnswer(BaseModel):
    """What is in force."""

    model: str
    shadow_model: str
    policy: str
    policy_sha256: str
    mode: str
    profile: str
    rollout: float
    problem: str = Field(description="Why a changed policy file was refused; empty if it was not.")


class AliveAnswer(BaseModel):
    """The process answers."""

    status: str = Field(examples=["alive"])


class ReadyAnswer(BaseModel):
    """The gate can screen and keep."""

    status: str = Field(examples=["ready"])
    model: str


def _label_of(state: AiState) -> LabelAnswer:
    """The words that the visible label paints for this state."""
    en, zh = ("".join(WORDS[each][state]) for each in (LabelLanguage.EN, LabelLanguage.ZH))
    return LabelAnswer(en=en, zh=zh, aigc_label=str(int(state)))


def answer_of(record: Record) -> ScreenAnswer:
    """The API's answer for a record."""
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
                kind=each.kind.value,
                name=each.name,
                detail=each.detail,
                trust=each.trust.value,
                location=each.location,
                detail_zh=evidence_zh(each),
                location_zh=place_zh(each.location),
            )
            for each in record.evidence
        ],
        notice=None
        if state is None
        else NoticeAnswer(state=int(state), en=AI_NOTICES[state].en, zh=AI_NOTICES[state].zh),
        label=None if state is None else _label_of(state),
        basis=verdict.basis.value if verdict else "",
        deferred=any(each.kind is ReasonKind.DEFERRED for each in decision.reasons),
        model=str(verdict.model) if verdict else "",
        policy=decision.policy_version,
        latency_ms=record.latency_ms,
    )
