"""The review queue, decisions, appeals and sign-ins."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0301_review"
down_revision = "0300_banks"
branch_labels = None
depends_on = None


def _moment(name: str, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, index: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, index=index)


def _short(name: str, length: int = 36, index: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False, index=index, primary_key=key)


def upgrade() -> None:
    """Make the tables."""
    _items()
    op.create_table(
        "review_decisions",
        _short("decision_id", key=True),
        _short("item_id", index=True),
        _short("record_id", index=True),
        _text("reviewer"),
        _short("outcome", 16),
        _short("category", 24),
        _text("note"),
        _short("together", index=True),
        sa.Column("bank_entry_id", sa.Integer, nullable=True),
        _moment("decided_at"),
        _moment("undone_at", nullable=True),
    )
    op.create_index("review_decisions_by_reviewer", "review_decisions", ["reviewer", "decided_at"])
    op.create_table(
        "review_skips", _short("item_id", key=True), _short("reviewer", 200, key=True), _moment("skipped_at")
    )
    cursor = op.create_table("review_cursor", sa.Column("one", sa.Integer, primary_key=True), _moment("looked_until"))
    op.bulk_insert(cursor, [{"one": 1, "looked_until": datetime(2000, 1, 1, tzinfo=UTC)}])
    op.create_table(
        "appeals",
        _short("appeal_id", key=True),
        _short("record_id", index=True),
        _short("item_id", index=True),
        *(_text(name) for name in ("seller_id", "reason", "reference_sha256", "comparison", "callback_url")),
        _short("state", 10, index=True),
        _moment("created_at"),
        _moment("due_at"),
        _moment("decided_at", nullable=True),
        _text("outcome_reason"),
    )
    op.create_table(
        "reference_pictures",
        _short("sha256", 64, key=True),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
        _moment("created_at"),
    )
    op.create_table(
        "review_sessions",
        _short("token_sha256", 64, key=True),
        _text("reviewer"),
        _short("role", 8),
        _short("key_id", 16),
        _short("csrf", 64),
        _moment("expires_at"),
    )


def _items() -> None:
    op.create_table(
        "review_items",
        _short("item_id", key=True),
        _short("record_id"),
        _short("kind", 10),
        _short("picture_sha256", 64, index=True),
        sa.Column("priority", sa.Float, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        _short("category", 24),
        *(sa.Column(name, sa.Float, nullable=False) for name in ("uncertainty", "novelty", "disagreement")),
        _text("goods"),
        _text("seller_id", index=True),
        _text("listing_id"),
        _short("job_id"),
        _text("model"),
        _text("policy_version"),
        sa.Column("pdq", sa.LargeBinary(32), nullable=True),
        sa.Column("colour", sa.LargeBinary(48), nullable=True),
        _short("group_id", index=True),
        _moment("created_at"),
        _moment("due_at", nullable=True),
        _text("leased_by"),
        _moment("leased_until", nullable=True),
        _text("not_by"),
        _moment("decided_at", nullable=True),
        sa.UniqueConstraint("record_id", "kind", name="review_items_once"),
    )
    op.create_index("review_items_open", "review_items", ["decided_at", "priority", "created_at"])
