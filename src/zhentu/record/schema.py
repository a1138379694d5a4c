"""The tables. Records are append-only, and the database itself refuses to change or delete one.

These declarations are for queries; the migrations in `migrations/versions` make the tables, and a test compares both.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from zhentu.types import DEFAULT_TENANT

metadata = MetaData()
HEADS = frozenset({"0101_tenants", "0201_skipped", "0302_tenants"})  # the newest migration of each range


def tenant_column() -> Column[str]:
    """Whose row it is; rows from before tenants belong to the operator."""
    return Column("tenant", String(63), nullable=False, server_default=DEFAULT_TENANT)


records = Table(
    "records",
    metadata,
    Column("record_id", String(36), primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False, index=True),
    Column("picture_sha256", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("listing_id", Text, nullable=False, index=True),
    Column("seller_id", Text, nullable=False, index=True),
    Column("goods", Text, nullable=False),
    Column("action", String(8), nullable=False, index=True),
    Column("applied", String(8), nullable=False),
    Column("mode", String(8), nullable=False),
    Column("model", Text, nullable=False),
    Column("model_sha256", String(64), nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("policy_sha256", String(64), nullable=False),
    Column("forged", Float, nullable=True),
    Column("latency_ms", Float, nullable=False),
    Column("body", Text, nullable=False),  # the whole record as JSON, see codec.py
    tenant_column(),
    Index("records_by_picture", "picture_sha256", "record_id"),
)

# A row here allows DELETE on records in the transaction that wrote it; see retention.py.
retention_pass = Table("retention_pass", metadata, Column("pass_id", String(36), primary_key=True))

retention_log = Table(
    "retention_log",
    metadata,
    Column("prune_id", String(36), primary_key=True),
    Column("pruned_at", DateTime(timezone=True), nullable=False),
    Column("scope", Text, nullable=False),
    Column("record_count", Integer, nullable=False),
)

# Which record answered a request: by Idempotency-Key, and by the content of the request; see store.py.
claims = Table(
    "claims",
    metadata,
    Column("claim", String(64), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("record_id", String(36), nullable=False, index=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(8), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("rate_per_s", Float, nullable=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True), nullable=True),
    tenant_column(),
)

# Webhook messages: written with what they report, delivered afterwards; see outbox.py.
outbox = Table(
    "outbox",
    metadata,
    Column("message_id", String(40), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("delivered_at", DateTime(timezone=True), nullable=True),
    Column("last_error", Text, nullable=False),
    Column(
        "owner", Text, nullable=False, server_default=""
    ),  # on whose behalf it is sent: a key, or empty for the gate
    Column("host", Text, nullable=False, server_default=""),  # "host:port" of the URL
    tenant_column(),
    Index("outbox_due", "state", "due_at"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("kind", String(10), nullable=False),
    Column("callback_url", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=True),
    Column("owner", String(40), nullable=False, server_default=""),  # the key that asked for it
    tenant_column(),
)

job_pictures = Table(
    "job_pictures",
    metadata,
    Column("job_id", String(36), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("state", String(10), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("request", Text, nullable=False),  # name, listing, URL as JSON
    Column("payload", LargeBinary, nullable=True),  # emptied once screened
    Column("record_id", String(36), nullable=True),
    Column("error_code", Text, nullable=False),
    Column("error_detail", Text, nullable=False),
    Index("job_pictures_due", "state", "due_at"),
)

# History of the model in force; the newest row of a kind counts, so a rollback is one more row.
in_force = Table(
    "in_force",
    metadata,
    Column("change_id", String(36), primary_key=True),
    Column("kind", String(16), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

shadow_verdicts = Table(
    "shadow_verdicts",
    metadata,
    Column("record_id", String(36), primary_key=True),
    Column("model", Text, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("scores", Text, nullable=False),
    Column("active_action", String(8), nullable=False),
    Column("shadow_action", String(8), nullable=False),
    Column("disagrees", Boolean, nullable=False, index=True),
)
