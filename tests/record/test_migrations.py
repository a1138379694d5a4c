from __future__ import annotations

import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

import zhentu.record.migrations.versions as versions
from zhentu.errors import StoreError
from zhentu.record.database import Database, migrate_store
from zhentu.record.migrate import _revisions
from zhentu.record.schema import HEADS, metadata
from zhentu.record.store import RecordStore

OLD = """
CREATE TABLE schema_version (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE records (record_id VARCHAR(36) NOT NULL PRIMARY KEY, created_at DATETIME NOT NULL,
 picture_sha256 VARCHAR(64) NOT NULL, path TEXT NOT NULL, listing_id TEXT NOT NULL, seller_id TEXT NOT NULL,
 goods TEXT NOT NULL, action VARCHAR(8) NOT NULL, applied VARCHAR(8) NOT NULL, mode VARCHAR(8) NOT NULL,
 model TEXT NOT NULL, model_sha256 VARCHAR(64) NOT NULL, policy_version TEXT NOT NULL,
 policy_sha256 VARCHAR(64) NOT NULL, forged FLOAT, latency_ms FLOAT NOT NULL, body TEXT NOT NULL);
CREATE TRIGGER records_no_delete BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
INSERT INTO schema_version VALUES (1);
INSERT INTO records VALUES ('r', '2026-01-01 00:00:00', 'a', '', '', '', '', 'allow', 'allow', 'enforce', '', '', '',
 '', NULL, 1, '{}');
"""


# Every module that declares tables: what it declares is in `metadata` once it is imported.
DECLARING = ("banks.schema", "record.applied", "record.audit", "record.known", "record.scan_jobs", "review.schema")


def test_migrations_make_the_declared_tables(database: Database) -> None:
    for name in DECLARING:
        import_module(f"zhentu.{name}")
    with database.begin() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": lambda *each: True})
        assert [each for each in compare_metadata(context, metadata) if each[0] != "remove_table"] == []


def test_a_database_made_before_alembic_keeps_its_records(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with create_engine(f"sqlite:///{path}").connect() as connection:
        connection.connection.driver_connection.executescript(OLD)
    store = RecordStore(f"sqlite:///{path}")
    assert sum(store.counts_by_action().values()) == 1
    with store.database.begin() as connection:
        assert "claims" in inspect(connection).get_table_names()


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    assert migrate_store(database_url)
    assert not migrate_store(database_url)


def test_processes_that_start_at_once_migrate_once(database_url: str) -> None:
    ran: list[bool] = []
    threads = [threading.Thread(target=lambda: ran.append(migrate_store(database_url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ran) == [False, False, False, True]


def test_a_shared_database_is_not_migrated_by_the_way(postgres) -> None:
    with pytest.raises(StoreError, match="zhentu store migrate"):
        Database(postgres.new_database())


def test_a_schema_from_the_future_is_refused(database_url: str) -> None:
    migrate_store(database_url)
    with create_engine(database_url).begin() as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('9999_later')"))
    with pytest.raises(StoreError, match="upgrade zhentu"):
        Database(database_url)


def test_migration_files_are_named_by_their_revision() -> None:
    folder = Path(versions.__file__).parent
    for path in folder.glob("m*.py"):
        assert f'revision = "{path.stem[1:]}"' in path.read_text(encoding="utf-8")
        assert path.stem[1:5].isdigit()


def test_the_heads_a_start_looks_for_are_those_of_the_migrations() -> None:
    assert _revisions()[0] == HEADS


def test_a_store_that_is_current_is_opened_without_alembic(database_url: str) -> None:
    migrate_store(database_url)
    program = (
        "import sys\nfrom zhentu.record.database import Database\n"
        f"Database({database_url!r}).close()\nassert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
