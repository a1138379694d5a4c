"""Tenants of rows: existing ones belong to the tenant `default`, who runs the gate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0101_tenants"
down_revision = "0100_owners"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. No row is rewritten: records are append-only, and old ones need only the default."""
    for table in ("records", "api_keys", "jobs", "outbox"):
        op.add_column(table, sa.Column("tenant", sa.String(63), nullable=False, server_default="default"))
