"""What a scan did not take, and for which reasons its pictures were decided: counted with the job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0201_skipped"
down_revision = "0200_backlog"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for name in ("skipped", "reasons"):
        op.add_column("scan_jobs", sa.Column(name, sa.Text, nullable=False, server_default="{}"))
