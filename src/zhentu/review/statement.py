"""The statement of reasons for a decision, as self-contained JSON.

It follows Article 17 of the EU's Digital Services Act: the facts, whether automated means were used, the ground,
what was decided and where to turn. Chinese and English side by side.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from zhentu.decide.evidence_words import told
from zhentu.decide.notices import CATEGORY_NAMES
from zhentu.decide.words import TRUST_NAMES, Words
from zhentu.review.appeals import Appeals
from zhentu.review.items import ReviewDecision, ReviewOutcome
from zhentu.review.queue import ReviewQueue
from zhentu.types import Category, Evidence, Record

# The same bytes may have been another seller's; who sent them before is not this seller's to know.
_OTHER_RECORD = re.compile(r",? in record [0-9A-Fa-f-]{8,}")

_OUTCOMES: dict[ReviewOutcome, Words] = {
    ReviewOutcome.UPHOLD: Words(
        "A reviewer looked at the picture and upheld the decision.", "审核人员已查看图片，维持该处置。"
    ),
    ReviewOutcome.OVERTURN: Words(
        "A reviewer looked at the picture and found it honest; the decision is withdrawn.",
        "审核人员已查看图片，认定图片真实，撤销该处置。",
    ),
    ReviewOutcome.WRONG_PICTURE: Words(
        "A reviewer looked at the picture: it does not show these goods.", "审核人员已查看图片，图片与所售商品不符。"
    ),
}
_REDRESS = Words(
    "You may appeal once, with photos of the real goods; a reviewer other than the first decides.",
    "您可以凭商品实拍图提出一次申诉，由另一位审核人员处理。",
)


def statement_of(record: Record, queue: ReviewQueue, appeals: Appeals) -> dict[str, Any]:
    """Everything a seller is entitled to know about a record, ready for JSON. No reviewer is named."""
    decisions = queue.decisions_for(record.record_id)
    made = appeals.of_record(record.record_id)
    decision, verdict = record.decision, record.verdict
    return {
        "record_id": record.record_id,
        "listing_id": record.listing.listing_id,
        "picture_sha256": record.picture_sha256,
        "screened_at": record.created_at.isoformat(),
        "action": decision.action.value,
        "applied": decision.applied.value,
        "automated_detection": verdict is not None,
        "automated_decision": not decisions,
        "model": str(verdict.model) if verdict else None,
        "policy_version": decision.policy_version,
        "reasons": [
            {
                "code": each.code,
                "action": each.action.value,
                "en": each.en,
                "zh": each.zh,
                "score": each.score,
                "threshold": each.threshold,
            }
            for each in decision.reasons
        ],
        "evidence": [_evidence(each) for each in record.evidence],
        "reviews": [_review(each) for each in decisions],
        "appeals": [
            {"appeal_id": each.appeal_id, "state": each.state, "due_at": each.due_at.isoformat()} for each in made
        ],
        "redress": {"en": _REDRESS.en, "zh": _REDRESS.zh, "how": "POST /v1/appeals", "available": not made},
    }


def _evidence(evidence: Evidence) -> dict[str, str]:
    shown = replace(evidence, detail=_OTHER_RECORD.sub("", evidence.detail))
    zh, trust = told(shown, "zh"), TRUST_NAMES[evidence.trust]
    return {
        "kind": shown.kind.value,
        "name": shown.name,
        "name_zh": zh.name,
        "detail": shown.detail,
        "detail_zh": zh.detail,
        "trust": shown.trust.value,
        "trust_zh": trust.zh,
        "location": shown.location,
        "location_zh": zh.place,
    }


def _review(decision: ReviewDecision) -> dict[str, Any]:
    words = _OUTCOMES[decision.outcome]
    category = CATEGORY_NAMES[Category(decision.category)] if decision.category else None
    return {
        "decision_id": decision.decision_id,
        "outcome": decision.outcome.value,
        "category": decision.category or None,
        "category_en": category.en if category else None,
        "category_zh": category.zh if category else None,
        "en": words.en,
        "zh": words.zh,
        "note": decision.note,
        "decided_at": decision.decided_at.isoformat(),
    }
