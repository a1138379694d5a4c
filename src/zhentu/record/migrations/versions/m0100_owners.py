"""Owners of jobs and messages, so that deliveries can be limited by owner and host."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0100_owners"
down_revision = "0002_gate"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; waiting messages have no owner and no known host, and are still delivered."""
    op.add_column("jobs", sa.Column("owner", sa.String(40), nullable=False, server_default=""))
    op.add_column("outbox", sa.Column("owner", sa.Text, nullable=False, server_default=""))
    op.add_column("outbox", sa.Column("host", sa.Text, nullable=False, server_default=""))
