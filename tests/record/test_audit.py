from __future__ import annotations

import json
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from zhentu.errors import StoreError
from zhentu.record import audit
from zhentu.record.database import Database


def write(database: Database, count: int, actor: str = "ann") -> None:
    for number in range(count):
        with database.begin() as connection:
            audit.append(connection, actor, "decide", f"item:{number}", {"outcome": "uphold", "备注": "好"})


def test_a_chain_verifies_and_exports(database: Database):
    write(database, 5)
    chain = audit.verify(database)
    assert (chain.entries, chain.broken_at) == (5, None)
    last = list(audit.entries(database))[-1]
    assert last.sha256 == chain.head
    assert json.loads(last.as_json())["facts"]["备注"] == "好"
    assert audit.verify(database, chain.head).broken_at is None


def test_the_database_refuses_to_change_or_delete_an_entry(database: Database):
    write(database, 1)
    for statement in ("UPDATE audit SET actor = 'eve'", "DELETE FROM audit"):
        with pytest.raises((StoreError, IntegrityError), match="append-only"), database.begin() as connection:
            connection.execute(text(statement))


@pytest.mark.parametrize(
    ("damage", "broken_at", "good"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE seq = 3", 3, 2),
        ("DELETE FROM audit WHERE seq = 2", 3, 1),
        ("DELETE FROM audit WHERE seq = 5", 5, 4),
    ],
)
def test_damage_done_behind_the_triggers_is_found(tmp_path, damage: str, broken_at: int, good: int):
    database = Database(f"sqlite:///{tmp_path}/a.db")
    write(database, 5)
    with database.begin() as connection:
        for trigger in ("audit_no_update", "audit_no_delete"):
            connection.execute(text(f"DROP TRIGGER {trigger}"))
        connection.execute(text(damage))
    chain = audit.verify(database)
    assert (chain.broken_at, chain.entries) == (broken_at, good)


def test_a_hash_kept_elsewhere_shows_a_chain_written_anew(database: Database):
    write(database, 2)
    assert "is nowhere" in audit.verify(database, "f" * 64).problem


def test_writers_at_once_make_one_chain(database: Database):
    threads = [threading.Thread(target=write, args=(database, 20, name)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    chain = audit.verify(database)
    assert (chain.entries, chain.broken_at) == (80, None)
