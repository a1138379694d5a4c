"""Where records are kept: SQLite by default, any SQLAlchemy URL otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from zhentu.errors import RecordNotFound, StoreError
from zhentu.record.codec import decode_record, encode_record
from zhentu.record.schema import SCHEMA_VERSION, metadata, records, schema_version
from zhentu.types import Action, Record


class RecordStore:
    """Append-only store of records; safe to use from several threads and processes.

    url: an SQLAlchemy URL, e.g. "sqlite:////var/lib/zhentu/records.db" or "postgresql+psycopg://...".
    Raises StoreError when it cannot be opened, or holds a schema newer than this version knows.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        with self._begin() as connection:
            metadata.create_all(connection)
            found = connection.execute(select(schema_version.c.version)).scalar()
            if found is None:
                connection.execute(insert(schema_version).values(version=SCHEMA_VERSION))
            elif found > SCHEMA_VERSION:
                raise StoreError(
                    f"the store has schema {found}, this zhentu knows up to {SCHEMA_VERSION}; upgrade zhentu"
                )

    def append(self, record: Record) -> None:
        """Write one record durably."""
        self.append_many([record])

    def append_many(self, batch: Iterable[Record]) -> None:
        """Write a batch in one transaction: all or none."""
        rows = [_row(record) for record in batch]
        if rows:
            with self._begin() as connection:
                connection.execute(insert(records), rows)

    def get(self, record_id: str) -> Record:
        """The record with this identifier. Raises RecordNotFound."""
        with self._begin() as connection:
            body = connection.execute(select(records.c.body).where(records.c.record_id == record_id)).scalar()
        if body is None:
            raise RecordNotFound(f"no record {record_id!r} in the store")
        return decode_record(body)

    def latest_for(self, sha256: str) -> Record | None:
        """The newest record of a picture's bytes, None when it was never screened."""
        query = select(records.c.body).where(records.c.picture_sha256 == sha256)
        with self._begin() as connection:
            body = connection.execute(query.order_by(records.c.record_id.desc()).limit(1)).scalar()
        return None if body is None else decode_record(body)

    def counts_by_action(self) -> Mapping[Action, int]:
        """How many records asked for each action."""
        query = select(records.c.action, func.count()).group_by(records.c.action)
        with self._begin() as connection:
            found = {Action(action): int(count) for action, count in connection.execute(query)}
        return {action: found.get(action, 0) for action in Action}

    def check(self) -> None:
        """Raise StoreError unless the store answers and can be written."""
        with self._begin() as connection:
            connection.execute(select(schema_version.c.version)).scalar()

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            url = self._engine.url.render_as_string(hide_password=True)
            raise StoreError(f"the record store {url} failed: {cause}") from error


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=True)
    except ArgumentError as error:
        raise StoreError(f"store_url {url!r} is not a database URL, e.g. sqlite:///zhentu.db") from error
    except ImportError as error:
        raise StoreError(f"the driver of {url.split(':')[0]} is not installed: pip install zhentu[postgres]") from error
    except OSError as error:
        raise StoreError(f"the folder of {url!r} cannot be made: {error}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
    return engine


def _tune_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    # WAL lets readers go on while one writes; NORMAL may lose the last transactions on power loss, never the file.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _row(record: Record) -> dict[str, object]:
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
