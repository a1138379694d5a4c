"""The tables. Records are append-only, and the database itself refuses to change or delete one."""

from __future__ import annotations

from sqlalchemy import Column, Connection, DateTime, Float, Index, Integer, MetaData, String, Table, Text, event, text

SCHEMA_VERSION = 1

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

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
    Index("records_by_picture", "picture_sha256", "record_id"),
)

_REFUSE = "records are append-only"
_FORBID = {
    "sqlite": [
        f"CREATE TRIGGER records_no_{operation.lower()} BEFORE {operation} ON records "
        f"BEGIN SELECT RAISE(ABORT, '{_REFUSE}'); END"
        for operation in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION records_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSE}'; END $$",
        "CREATE TRIGGER records_append_only BEFORE UPDATE OR DELETE ON records "
        "FOR EACH ROW EXECUTE FUNCTION records_refuse()",
    ],
}


@event.listens_for(records, "after_create")
def _forbid_changes(table: Table, connection: Connection, **_: object) -> None:
    for statement in _FORBID.get(connection.dialect.name, []):
        connection.execute(text(statement))
