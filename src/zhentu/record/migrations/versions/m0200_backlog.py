"""What backlog scans need: jobs, pictures known by their bytes, and what was done about them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0200_backlog"
down_revision = "0002_gate"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "known_verdicts",
        sa.Column("picture_sha256", sa.String(64), primary_key=True),
        sa.Column("model_sha256", sa.String(64), primary_key=True),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("pdq", sa.String(64), nullable=False),
        sa.Column("colour", sa.String(96), nullable=False),
    )
    op.create_index("known_verdicts_by_look", "known_verdicts", ["pdq"])
    op.create_table(
        "known_decisions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("record_id", sa.String(36), nullable=False),
    )
    op.create_table(
        "scan_jobs",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("state", sa.String(12), nullable=False),
        _text("folder"),
        _text("host"),
        _text("sources"),
        _text("model"),
        _text("policy_version"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        _text("counts"),
        _text("error"),
    )
    op.create_index("ix_scan_jobs_started_at", "scan_jobs", ["started_at"])
    op.create_table(
        "applied_actions",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        _text("path"),
        _text("target"),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        _text("detail"),
    )
