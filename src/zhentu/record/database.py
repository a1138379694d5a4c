"""The database behind all tables: SQLite for one machine, PostgreSQL 15 or newer for several."""

from __future__ import annotations

import logging
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_delay,
    wait_random,
    wait_random_exponential,
)

from zhentu.errors import StoreError, UsageError
from zhentu.record.private import private_folder, touch_private
from zhentu.record.schema import HEADS, retention_pass

_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
_LONGEST_WAIT_S = 2.0  # between two tries of a store that is away
_AWAY_CLASS = "08"  # SQLSTATE: connection exceptions
_AWAY = frozenset(  # shut down, crashed, starting up, full of connections; read-only during a failover; lost to another
    ["57P01", "57P02", "57P03", "53300", "25006", "40001", "40P01"]
)
_CONNECT_S = 3  # a database that is down must be noticed before a request's deadline


class Database:
    """A pool of connections to one store; safe to use from several threads.

    url: an SQLAlchemy URL, e.g. "sqlite:////var/lib/zhentu/records.db" or "postgresql+psycopg://...".
    auto_migrate: run missing migrations now; None = for SQLite only, because many gates share a PostgreSQL.
    patience_s: see `patiently`.
    Raises StoreError if it cannot be opened or its schema does not fit this version.
    """

    def __init__(self, url: str, auto_migrate: bool | None = None, patience_s: float = 0.0) -> None:
        self._engine, self._patience_s = _engine(url), patience_s
        self.patiently(lambda: self._open(auto_migrate))

    def _open(self, auto_migrate: bool | None) -> None:
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

    def patiently(self, call: Callable[[], Answer]) -> Answer:
        """The answer of a call of whole transactions; while the store is away it is made anew, for `patience_s`.

        The call must be one that may be made twice: a server that dies may take the answer to a commit with it.
        Raises StoreError.
        """
        if not self._patience_s:
            return call()
        trying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, StoreError) and error.passing),
            wait=wait_random_exponential(multiplier=0.2, max=_LONGEST_WAIT_S),
            stop=stop_after_delay(self._patience_s),
            before_sleep=self._tell,
            reraise=True,
        )
        return trying(call)

    def _tell(self, state: RetryCallState) -> None:
        """Say once, and in the first process alone, that the store is waited for."""
        if state.attempt_number == 1 and multiprocessing.parent_process() is None:
            error = state.outcome.exception() if state.outcome else None
            _log.warning("%s; waiting for it for up to %.0f s", error, self._patience_s)

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
            f"the record store {engine.url.render_as_string(hide_password=True)} failed: {cause}", _is_passing(error)
        ) from error


def _is_passing(error: SQLAlchemyError) -> bool:
    """Whether the store was away or busy, and not at odds with what it was asked."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, PoolTimeout)
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # not an answer of the server: it refused the connection, or did not answer
        return isinstance(error, OperationalError)
    return state.startswith(_AWAY_CLASS) or state in _AWAY


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
