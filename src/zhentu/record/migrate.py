"""Bring a store to the schema this version knows: Alembic, under one lock and in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from zhentu.errors import StoreError

_FOLDER = Path(__file__).parent / "migrations"
_FIRST = "0001_records"  # tables of databases from before Alembic
_LOCK = 0x7A68656E7475  # "zhentu", for PostgreSQL's advisory locks


def migrate(engine: Engine) -> bool:
    """Run every missing migration; True if there was one. Safe when several processes start at once.

    Raises StoreError if the store was made by a newer zhentu; database errors pass through.
    """
    with engine.connect() as connection:
        if _missing(connection) == frozenset():
            return False
    with _locked(engine) as connection:
        missing = _missing(connection)
        if not missing:
            return False
        config = _config()
        config.attributes["connection"] = connection
        if _before_alembic(connection):
            command.stamp(config, _FIRST)
        command.upgrade(config, "heads")
        return True


def check_schema(connection: Connection) -> None:
    """Raise StoreError unless the store holds exactly the schema this version knows."""
    if _missing(connection):
        raise StoreError("the store's schema is older than this zhentu; run `zhentu store migrate`")


def _missing(connection: Connection) -> frozenset[str]:
    """Heads that are not applied. Raises StoreError for revisions this version does not know."""
    heads, known = _revisions()
    current = frozenset(MigrationContext.configure(connection).get_current_heads())
    if current - known:
        names = ", ".join(sorted(current - known))
        raise StoreError(f"the store has schema revision {names}, which this zhentu does not know; upgrade zhentu")
    return heads - current


def _before_alembic(connection: Connection) -> bool:
    tables = inspect(connection).get_table_names()
    return "records" in tables and "alembic_version" not in tables


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
        return
    # The driver's own transactions begin at the first INSERT; tables need the write lock from the first read.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


@lru_cache(maxsize=1)
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    scripts = ScriptDirectory.from_config(_config())
    return frozenset(scripts.get_heads()), frozenset(each.revision for each in scripts.walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
