"""Tenants of rows: existing ones belong to the tenant `default`, who runs the gate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0302_tenants"
down_revision = "0301_review"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. No row is rewritten: records are append-only, and old ones need only the default."""
    for table in ("review_items", "appeals"):
        op.add_column(table, sa.Column("tenant", sa.String(63), nullable=False, server_default="default"))
