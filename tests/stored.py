"""What tests look up in a store and nothing else asks for."""

from __future__ import annotations

from sqlalchemy import select

from zhentu.record.codec import decode_record
from zhentu.record.database import Database
from zhentu.record.schema import records, shadow_verdicts
from zhentu.types import Record


def latest_for(database: Database, sha256: str) -> Record | None:
    """The newest record of a picture's bytes, None if it was never screened."""
    query = select(records.c.body).where(records.c.picture_sha256 == sha256)
    with database.begin() as connection:
        body = connection.execute(query.order_by(records.c.record_id.desc()).limit(1)).scalar()
    return None if body is None else decode_record(body)


def shadowed(database: Database) -> list[tuple[str, bool]]:
    """Each verdict of a shadow model, by model: which one it was, and whether it disagrees with the one in force."""
    table = shadow_verdicts.c
    with database.begin() as connection:
        found = connection.execute(select(table.model, table.disagrees).order_by(table.model, table.disagrees))
        return [(model, bool(disagrees)) for model, disagrees in found]
