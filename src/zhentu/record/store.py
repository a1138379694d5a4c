"""Records, appended and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from zhentu.errors import RecordNotFound, StoreError
from zhentu.record.codec import decode_record, encode_record
from zhentu.record.database import Database
from zhentu.record.schema import records
from zhentu.types import Action, Record


class RecordStore:
    """Append-only store of records; safe to use from several threads and processes.

    at: the store's URL, or an open Database that other tables share. Raises StoreError when it cannot be opened.
    """

    def __init__(self, at: str | Database) -> None:
        self.database = at if isinstance(at, Database) else Database(at)

    def append(self, record: Record) -> None:
        """Write one record durably."""
        self.append_many([record])

    def append_many(self, batch: Iterable[Record]) -> None:
        """Write a batch in one transaction: all or none."""
        rows = [row_of(record) for record in batch]
        if not rows:
            return
        try:
            with self.database.begin() as connection:
                connection.execute(insert(records), rows)
        except IntegrityError as error:
            raise StoreError("a record with this identifier is in the store; records are append-only") from error

    def get(self, record_id: str) -> Record:
        """The record with this identifier. Raises RecordNotFound."""
        with self.database.begin() as connection:
            body = connection.execute(select(records.c.body).where(records.c.record_id == record_id)).scalar()
        if body is None:
            raise RecordNotFound(f"no record {record_id!r} in the store")
        return decode_record(body)

    def latest_for(self, sha256: str) -> Record | None:
        """The newest record of a picture's bytes, None when it was never screened."""
        query = select(records.c.body).where(records.c.picture_sha256 == sha256)
        with self.database.begin() as connection:
            body = connection.execute(query.order_by(records.c.record_id.desc()).limit(1)).scalar()
        return None if body is None else decode_record(body)

    def counts_by_action(self) -> Mapping[Action, int]:
        """How many records asked for each action."""
        query = select(records.c.action, func.count()).group_by(records.c.action)
        with self.database.begin() as connection:
            found = {Action(action): int(count) for action, count in connection.execute(query)}
        return {action: found.get(action, 0) for action in Action}

    def check(self) -> None:
        """Raise StoreError unless the store answers and can be written."""
        self.database.check()

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()


def row_of(record: Record) -> dict[str, object]:
    """The columns of a record, for insert(records)."""
    verdict = record.verdict
    return {
        "record_id": record.record_id,
        "created_at": record.created_at,
        "picture_sha256": record.picture_sha256,
        "path": record.path,
        "listing_id": record.listing.listing_id,
        "seller_id": record.listing.seller_id,
        "goods": record.listing.goods,
        "action": record.decision.action.value,
        "applied": record.decision.applied.value,
        "mode": record.decision.mode.value,
        "model": str(verdict.model) if verdict else "",
        "model_sha256": verdict.model.sha256 if verdict else "",
        "policy_version": record.decision.policy_version,
        "policy_sha256": record.decision.policy_sha256,
        "forged": verdict.scores.forged if verdict else None,
        "latency_ms": record.latency_ms,
        "body": encode_record(record),
    }
