"""Banks of known pictures, fingerprints seen, and the audit chain."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0300_banks"
down_revision = "0002_gate"
branch_labels = None
depends_on = None


def _moment(name: str, nullable: bool = False, index: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, index=index)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


def upgrade() -> None:
    """Make the tables, their single rows, and the triggers that keep the audit append-only."""
    revision_row = op.create_table("bank_revision", sa.Column("one", sa.Integer, primary_key=True), _number("revision"))
    op.bulk_insert(revision_row, [{"one": 1, "revision": 0}])
    op.create_table(
        "banks",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        _number("threshold"),
        sa.Column("colour_limit", sa.Float, nullable=False),
        sa.Column("enabled_ratio", sa.Float, nullable=False),
        *(_text(name) for name in ("brand", "owners", "note")),
    )
    op.create_table(
        "bank_entries",
        sa.Column("entry_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("bank", sa.String(64), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=True),
        sa.Column("pdq", sa.LargeBinary(32), nullable=True),
        _number("quality"),
        sa.Column("colour", sa.LargeBinary(48), nullable=True),
        *(_text(name) for name in ("source", "seller_id", "note")),
        _moment("expires_at", nullable=True),
        _moment("created_at"),
        _text("created_by"),
        _moment("removed_at", nullable=True),
        _text("removed_by"),
        sa.Column("revision", sa.Integer, nullable=False, index=True),
    )
    op.create_index("bank_entries_by_sha256", "bank_entries", ["bank", "sha256"])
    op.create_index("bank_entries_by_pdq", "bank_entries", ["bank", "pdq"])
    op.create_table(
        "bank_pictures",
        sa.Column("entry_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("jpeg", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "prints",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("pdq", sa.LargeBinary(32), nullable=False),
        _number("quality"),
        sa.Column("colour", sa.LargeBinary(48), nullable=False),
        _moment("seen_at", index=True),
    )
    _audit()


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        _moment("at"),
        _text("actor"),
        sa.Column("act", sa.String(32), nullable=False, index=True),
        sa.Column("subject", sa.Text, nullable=False, index=True),
        _text("facts"),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    head = op.create_table(
        "audit_head",
        sa.Column("one", sa.Integer, primary_key=True),
        _number("seq"),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.bulk_insert(head, [{"one": 1, "seq": 0, "sha256": "0" * 64}])
    if op.get_bind().dialect.name == "sqlite":
        for operation in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{operation.lower()} BEFORE {operation} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
            )
    else:
        op.execute(
            "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit "
            "FOR EACH ROW EXECUTE FUNCTION audit_refuse()"
        )
