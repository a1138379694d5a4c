"""The database behind all tables: SQLite for one machine, PostgreSQL 15 or newer for several."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from zhentu.errors import StoreError, UsageError
from zhentu.record.private import private_folder, touch_private
from zhentu.record.schema import HEADS, retention_pass

_CONNECT_S = 3  # a database that is down must be noticed before a request's deadline


class Database:
    """A pool of connections to one store; safe to use from several threads.

    url: an SQLAlchemy URL, e.g. "sqlite:////var/lib/zhentu/records.db" or "postgresql+psycopg://...".
    auto_migrate: run missing migrations now; None = for SQLite only, because many gates share a PostgreSQL.
    Raises StoreError if it cannot be opened or its schema does not fit this version.
    """

    def __init__(self, url: str, auto_migrate: bool | None = None) -> None:
        self._engine = _engine(url)
        with _named_errors(self._engine):
            with self._engine.connect() as connection:
                current = _is_current(connection)
            if current:
                return
            if auto_migrate or (auto_migrate is None and self._engine.dialect.name == "sqlite"):
                from zhentu.record.migrate import migrate

                migrate(self._engine)
            else:
                with self._engine.connect() as connection:
                    _check_schema(connection)

    @property
    def dialect(self) -> str:
        """The kind of database: "sqlite" or "postgresql"."""
        return self._engine.dialect.name

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction. Raises StoreError for database errors; IntegrityError passes: somebody came first."""
        with _named_errors(self._engine), self._engine.begin() as connection:
            yield connection

    def insert_missing(self, table: Table) -> Insert:
        """An INSERT, in the words of this database, that leaves rows alone whose key is there already."""
        if self.dialect == "sqlite":
            return sqlite.insert(table).on_conflict_do_nothing()
        from sqlalchemy.dialects import postgresql  # a tenth of a second, spared where it is SQLite

        return postgresql.insert(table).on_conflict_do_nothing()

    def check(self) -> None:
        """Raise StoreError unless the store answers, can be written, and has this version's schema."""
        with self.begin() as connection:
            _check_schema(connection)
            connection.execute(retention_pass.delete())  # deletes nothing: no pass outlives its transaction

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def migrate_store(url: str) -> bool:
    """Run missing migrations on the store at `url`; True when there was one. Raises StoreError."""
    from zhentu.record.migrate import migrate

    engine = _engine(url)
    try:
        with _named_errors(engine):
            return migrate(engine)
    finally:
        engine.dispose()


def now() -> datetime:
    """The current time in UTC, as every table stores it."""
    return datetime.now(UTC)


def aware(moment: datetime) -> datetime:
    """A time read from the store: SQLite returns UTC without a time zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_current(connection: Connection) -> bool:
    """Whether no migration is missing; asked without Alembic, whose import would dominate a worker's start."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return frozenset(connection.scalars(text("SELECT version_num FROM alembic_version"))) == HEADS


def _check_schema(connection: Connection) -> None:
    """Raise StoreError unless the store holds exactly the schema this version knows."""
    if not _is_current(connection):
        from zhentu.record.migrate import check_schema

        check_schema(connection)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise StoreError(f"store.url: {backend}: zhentu keeps records in sqlite or postgresql+psycopg")
        if backend == "sqlite":
            if parsed.database not in (None, "", ":memory:") and not str(parsed.database).startswith("file:"):
                path = Path(str(parsed.database))
                private_folder(path.parent)
                touch_private(path)  # SQLite gives its journal files the same mode
            engine = create_engine(parsed, pool_pre_ping=True)
            event.listen(engine, "connect", _tune_sqlite)
            event.listen(engine, "before_cursor_execute", _refuse_nul)
            return engine
        # A server that vanishes silently must be noticed, too: what it does not acknowledge in time has failed.
        patience = {"connect_timeout": _CONNECT_S, "tcp_user_timeout": _CONNECT_S * 1000, "keepalives_idle": 10}
        engine = create_engine(parsed, pool_pre_ping=True, pool_timeout=_CONNECT_S, connect_args=patience)
        event.listen(engine, "before_cursor_execute", _refuse_nul)
        return engine
    except (ArgumentError, ValueError) as error:
        # The URL is not quoted: it may contain a password.
        raise StoreError("store.url is not a database URL; it looks like sqlite:////var/lib/zhentu.db") from error
    except ImportError as error:
        raise StoreError(f"the driver of {url.split(':')[0]} is not installed: pip install zhentu[postgres]") from error
    except OSError as error:
        raise StoreError(f"the store's file or folder cannot be made: {error}") from error


@contextmanager
def _named_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        cause = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0]
        raise StoreError(
            f"the record store {engine.url.render_as_string(hide_password=True)} failed: {cause}"
        ) from error


def _refuse_nul(_: object, __: object, ___: object, parameters: object, *____: object) -> None:
    """PostgreSQL takes no NUL in text: it is refused for every store alike, before a statement fails half-way.

    Raises UsageError.
    """
    rows = parameters if isinstance(parameters, list) else [parameters]
    for row in rows:
        values = row.values() if isinstance(row, dict) else row if isinstance(row, tuple | list) else ()
        if any(isinstance(each, str) and "\x00" in each for each in values):
            raise UsageError("a text holds a NUL character; leave it out")


def _tune_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    # WAL lets readers go on while one writes; NORMAL may lose the last transactions on power loss, never the file. Keys
    # by sha256 touch pages all over the file: a cache of 8 MB and rarer checkpoints write most of them once.
    for pragma in ("busy_timeout=10000", "cache_size=-8192", "wal_autocheckpoint=4000", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    # When several processes switch one file to WAL at once, SQLite refuses without waiting for busy_timeout.
    patient = Retrying(
        retry=retry_if_exception_type(sqlite3.OperationalError),
        wait=wait_random(0.01, 0.05),
        stop=stop_after_delay(10),
        reraise=True,
    )
    patient(cursor.execute, "PRAGMA journal_mode=WAL")
    cursor.close()
