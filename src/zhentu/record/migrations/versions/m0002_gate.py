"""What the gate needs: keys, claims, outbox, jobs, model history, shadow verdicts, and a documented way to prune."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_gate"
down_revision = "0001_records"
branch_labels = None
depends_on = None


def _moment(name: str, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def upgrade() -> None:
    """Make the tables and let DELETE on records through where a retention pass is open."""
    op.create_table("retention_pass", sa.Column("pass_id", sa.String(36), primary_key=True))
    op.create_table(
        "retention_log",
        sa.Column("prune_id", sa.String(36), primary_key=True),
        _moment("pruned_at"),
        _text("scope"),
        sa.Column("record_count", sa.Integer, nullable=False),
    )
    _let_retention_through()
    op.create_table(
        "claims",
        sa.Column("claim", sa.String(64), primary_key=True),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("record_id", sa.String(36), nullable=False, index=True),
        _moment("created_at"),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(16), primary_key=True),
        _text("name"),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("rate_per_s", sa.Float, nullable=True),
        _moment("created_at"),
        _moment("revoked_at", nullable=True),
    )
    op.create_table(
        "outbox",
        sa.Column("message_id", sa.String(40), primary_key=True),
        _text("kind"),
        _text("url"),
        _text("body"),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        _moment("created_at"),
        _moment("due_at"),
        _moment("delivered_at", nullable=True),
        _text("last_error"),
    )
    op.create_index("outbox_due", "outbox", ["state", "due_at"])
    _jobs()
    op.create_table(
        "in_force",
        sa.Column("change_id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False, index=True),
        _text("name"),
        _moment("changed_at"),
    )
    op.create_table(
        "shadow_verdicts",
        sa.Column("record_id", sa.String(36), primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        _moment("created_at"),
        _text("scores"),
        sa.Column("active_action", sa.String(8), nullable=False),
        sa.Column("shadow_action", sa.String(8), nullable=False),
        sa.Column("disagrees", sa.Boolean, nullable=False, index=True),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(10), nullable=False),
        _text("callback_url"),
        _moment("created_at"),
        _moment("finished_at", nullable=True),
    )
    op.create_table(
        "job_pictures",
        sa.Column("job_id", sa.String(36), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        _moment("due_at"),
        sa.Column("attempts", sa.Integer, nullable=False),
        _text("request"),
        sa.Column("payload", sa.LargeBinary, nullable=True),
        sa.Column("record_id", sa.String(36), nullable=True),
        _text("error_code"),
        _text("error_detail"),
    )
    op.create_index("job_pictures_due", "job_pictures", ["state", "due_at"])


def _let_retention_through() -> None:
    # The pass is a row that only the pruning transaction sees: it is deleted again before that transaction commits.
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER records_no_delete")
        op.execute(
            "CREATE TRIGGER records_no_delete BEFORE DELETE ON records WHEN NOT EXISTS (SELECT 1 FROM retention_pass) "
            "BEGIN SELECT RAISE(ABORT, 'records are append-only'); END"
        )
    else:
        op.execute(
            "CREATE OR REPLACE FUNCTION records_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN "
            "IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM retention_pass) THEN RETURN OLD; END IF; "
            "RAISE EXCEPTION 'records are append-only'; END $$"
        )
