"""The tables of review. Decisions are never deleted: an undone one records when it was undone."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Float, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from zhentu.record.schema import metadata, tenant_column

review_items = Table(
    "review_items",
    metadata,
    Column("item_id", String(36), primary_key=True),
    Column("record_id", String(36), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("picture_sha256", String(64), nullable=False, index=True),
    Column("priority", Float, nullable=False),
    Column("score", Float, nullable=False),
    Column("category", String(24), nullable=False),
    Column("uncertainty", Float, nullable=False),
    Column("novelty", Float, nullable=False),
    Column("disagreement", Float, nullable=False),
    Column("goods", Text, nullable=False),
    Column("seller_id", Text, nullable=False, index=True),
    Column("listing_id", Text, nullable=False),
    Column("job_id", String(36), nullable=False),
    Column("model", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("pdq", LargeBinary(32), nullable=True),
    Column("colour", LargeBinary(48), nullable=True),
    Column("group_id", String(36), nullable=False, index=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=True),
    Column("leased_by", Text, nullable=False),
    Column("leased_until", DateTime(timezone=True), nullable=True),
    Column("not_by", Text, nullable=False),  # reviewers who may not decide it, one per line between line feeds
    Column("decided_at", DateTime(timezone=True), nullable=True),
    tenant_column(),
    UniqueConstraint("record_id", "kind", name="review_items_once"),
    Index("review_items_open", "decided_at", "priority", "created_at"),
)

review_decisions = Table(
    "review_decisions",
    metadata,
    Column("decision_id", String(36), primary_key=True),
    Column("item_id", String(36), nullable=False, index=True),
    Column("record_id", String(36), nullable=False, index=True),
    Column("reviewer", Text, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("category", String(24), nullable=False),
    Column("note", Text, nullable=False),
    Column("together", String(36), nullable=False, index=True),  # the group decision it belongs to, or itself
    Column("bank_entry_id", Integer, nullable=True),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("undone_at", DateTime(timezone=True), nullable=True),
    Index("review_decisions_by_reviewer", "reviewer", "decided_at"),
)

review_skips = Table(
    "review_skips",
    metadata,
    Column("item_id", String(36), primary_key=True),
    Column("reviewer", String(200), primary_key=True),
    Column("skipped_at", DateTime(timezone=True), nullable=False),
)

# One row: how far records were read. Its lock serialises those that fill the queue.
review_cursor = Table(
    "review_cursor",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("looked_until", DateTime(timezone=True), nullable=False),
)

appeals = Table(
    "appeals",
    metadata,
    Column("appeal_id", String(36), primary_key=True),
    Column("record_id", String(36), nullable=False, index=True),
    Column("item_id", String(36), nullable=False, index=True),
    Column("seller_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reference_sha256", Text, nullable=False),  # one per line
    Column("comparison", Text, nullable=False),  # JSON; empty if none was run
    Column("callback_url", Text, nullable=False),
    Column("state", String(10), nullable=False, index=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=True),
    Column("outcome_reason", Text, nullable=False),
    tenant_column(),
)

# Photos that came with an appeal, re-encoded: the seller's original file is never kept.
reference_pictures = Table(
    "reference_pictures",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("jpeg", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

review_sessions = Table(
    "review_sessions",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    Column("reviewer", Text, nullable=False),
    Column("role", String(8), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
