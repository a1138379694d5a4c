"""Queue items and reviewers' decisions, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ItemKind(StrEnum):
    """Why somebody should review it."""

    APPEAL = "appeal"  # the seller answered
    SCREENING = "screening"  # the policy asked for review or a block
    SECOND = "second"  # already decided; reviewed again by somebody else to measure agreement
    SAMPLE = "sample"  # nothing was found: a random check of what the model misses


class ReviewOutcome(StrEnum):
    """What a reviewer decides."""

    UPHOLD = "uphold"  # the suspicion is right; the category says which
    OVERTURN = "overturn"  # the picture is honest
    WRONG_PICTURE = "wrong_picture"  # no forgery, but not a picture of these goods


class Order(StrEnum):
    """The order in which items come. The last three are active learning: what the next model learns most from."""

    PRIORITY = "priority"
    OLDEST = "oldest"
    UNCERTAIN = "uncertain"
    NOVEL = "novel"
    DISAGREEING = "disagreeing"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which items; empty fields do not filter. score_from, score_to: of `forged`, 0..1."""

    category: str = ""
    goods: str = ""
    seller_id: str = ""
    kind: str = ""
    group_id: str = ""
    job_id: str = ""
    tenant: str = ""
    score_from: float = 0.0
    score_to: float = 1.0
    order: Order = Order.PRIORITY


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One thing to review.

    category: the one that stands out most.  uncertainty: 1 on a threshold, 0 far from every one.
    novelty: 0 seen before, 1 like nothing in the queue.  disagreement: how far apart two models' `forged` are.
    group_id: near-duplicates share it.  due_at: deadline of an appeal.
    """

    item_id: str
    record_id: str
    kind: ItemKind
    picture_sha256: str
    priority: float
    score: float
    category: str
    uncertainty: float
    novelty: float
    disagreement: float
    goods: str
    seller_id: str
    listing_id: str
    job_id: str
    model: str
    policy_version: str
    group_id: str
    created_at: datetime
    due_at: datetime | None
    leased_by: str
    leased_until: datetime | None
    not_by: tuple[str, ...]
    decided_at: datetime | None
    tenant: str


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """What a reviewer decided. together: shared by the decisions of one group; undone_at: taken back."""

    decision_id: str
    item_id: str
    record_id: str
    reviewer: str
    outcome: ReviewOutcome
    category: str
    note: str
    together: str
    bank_entry_id: int | None
    decided_at: datetime
    undone_at: datetime | None


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How much there is to do."""

    open: int
    leased: int
    decided: int
    appeals_open: int
    appeals_overdue: int


@dataclass(frozen=True, slots=True)
class SellerHistory:
    """What is known about a seller. screened: records; upheld, overturned, waiting: review items."""

    seller_id: str
    screened: int
    upheld: int
    overturned: int
    waiting: int
