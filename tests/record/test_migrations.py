from __future__ import annotations

import json
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from review_fixtures import record
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

import zhentu.record.migrations.versions as versions
from zhentu.errors import StoreError
from zhentu.record.codec import encode_record
from zhentu.record.database import Database, _engine, migrate_store
from zhentu.record.keys import KeyStore
from zhentu.record.migrate import _config, _revisions
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


RECORD_OF_0_3 = """
INSERT INTO records (record_id, created_at, picture_sha256, path, listing_id, seller_id, goods, action, applied, mode,
 model, model_sha256, policy_version, policy_sha256, latency_ms, body)
VALUES ('r', '2026-01-01', 'a', '', '', 'S', '', 'allow', 'allow', 'enforce', '', '', '', '', 1, :body)
"""
KEY_OF_0_3 = """
INSERT INTO api_keys (key_id, name, role, secret_sha256, created_at) VALUES ('k', 'n', 'screen', 's', '2026-01-01')
"""

# Every module that declares tables: what it declares is in `metadata` once it is imported.
DECLARING = ("banks.schema", "record.applied", "record.audit", "record.known", "record.scan_jobs", "review.schema")


@pytest.fixture
def record_of_0_3() -> str:
    """A record's body as it was before tenants."""
    body = json.loads(encode_record(record(1, seller="S")))
    del body["listing"]["tenant"]
    return json.dumps(body)


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


def test_rows_made_before_tenants_belong_to_the_house(database_url: str, record_of_0_3: str) -> None:
    with _engine(database_url).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        for revision in ("0100_owners", "0201_skipped", "0301_review"):
            command.upgrade(config, revision)
        connection.execute(text(RECORD_OF_0_3), {"body": record_of_0_3})
        connection.execute(text(KEY_OF_0_3))
    assert migrate_store(database_url)
    database = Database(database_url)
    record = RecordStore(database).get("r", "default")
    assert (record.tenant, record.listing.seller) == ("default", "S")
    assert KeyStore(database).find("k").tenant == "default"
    with pytest.raises((StoreError, IntegrityError), match="append-only"), database.begin() as connection:
        connection.execute(text("DELETE FROM records"))
    database.close()


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
