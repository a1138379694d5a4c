"""The tables of the banks. Entries are never deleted: a removed one keeps who removed it, and when."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Float, Index, Integer, LargeBinary, String, Table, Text

from zhentu.record.schema import metadata

# One row. Every write increments it first, which serialises writers: rows become visible in the order of revisions.
bank_revision = Table(
    "bank_revision",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("revision", Integer, nullable=False),
)

banks = Table(
    "banks",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("threshold", Integer, nullable=False),
    Column("colour_limit", Float, nullable=False),
    Column("enabled_ratio", Float, nullable=False),
    Column("brand", Text, nullable=False),
    Column("owners", Text, nullable=False),  # seller ids, one per line
    Column("note", Text, nullable=False),
)

bank_entries = Table(
    "bank_entries",
    metadata,
    Column("entry_id", Integer, primary_key=True, autoincrement=True),
    Column("bank", String(64), nullable=False),
    Column("sha256", LargeBinary(32), nullable=True),
    Column("pdq", LargeBinary(32), nullable=True),
    Column("quality", Integer, nullable=False),
    Column("colour", LargeBinary(48), nullable=True),
    Column("source", Text, nullable=False),
    Column("seller_id", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("removed_at", DateTime(timezone=True), nullable=True),
    Column("removed_by", Text, nullable=False),
    Column("revision", Integer, nullable=False, index=True),
    Index("bank_entries_by_sha256", "bank", "sha256"),
    Index("bank_entries_by_pdq", "bank", "pdq"),
)

# Brands' own pictures, re-encoded: what a copy is shown and compared with.
bank_pictures = Table(
    "bank_pictures",
    metadata,
    Column("entry_id", Integer, primary_key=True, autoincrement=False),
    Column("jpeg", LargeBinary, nullable=False),
)

# Fingerprints of pictures seen: for dry runs and near-duplicate groups.
prints = Table(
    "prints",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("pdq", LargeBinary(32), nullable=False),
    Column("quality", Integer, nullable=False),
    Column("colour", LargeBinary(48), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False, index=True),
)
