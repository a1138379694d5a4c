from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import encoded, photo
from fakes import FakeDetector
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError

from zhentu.decide.policy import Policy
from zhentu.detect.entries import ModelEntry
from zhentu.errors import RecordNotFound, StoreError
from zhentu.ids import new_id
from zhentu.intake.decode import DecodeLimits
from zhentu.record.codec import decode_record, encode_record
from zhentu.record.store import RecordStore
from zhentu.screen import Screener
from zhentu.types import Action, Inquiry, Listing, Record


@pytest.fixture
def url(migrated_url: str) -> str:
    return migrated_url


@pytest.fixture
def record(entry: ModelEntry, policy: Policy) -> Record:
    listing = Listing("L1", "S1", "apparel", "衬衫 shirt", declared_ai=True)
    screener = Screener(FakeDetector(entry, 0.95), policy, DecodeLimits())
    return screener.screen(Inquiry.of(encoded(photo(), "JPEG"), "a/b.jpg", listing)).record


def renewed(record: Record) -> Record:
    return replace(record, record_id=new_id())


def test_a_record_survives_the_round_trip_exactly(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


def test_what_was_appended_is_found_again(url: str, record: Record) -> None:
    store = RecordStore(url)
    store.append(record)
    later = renewed(record)
    store.append(later)
    assert store.get(record.record_id) == record
    assert store.get(later.record_id) == later
    assert store.counts_by_action()[Action.REVIEW] == 2


def test_a_batch_is_all_or_nothing(url: str, record: Record) -> None:
    store = RecordStore(url)
    with pytest.raises(StoreError):
        store.append_many([record, record])
    with pytest.raises(RecordNotFound):
        store.get(record.record_id)


@pytest.mark.parametrize("statement", ["UPDATE records SET action = 'allow'", "DELETE FROM records"])
def test_the_database_itself_refuses_to_change_a_record(url: str, record: Record, statement: str) -> None:
    RecordStore(url).append(record)
    with create_engine(url).begin() as connection, pytest.raises(DatabaseError, match="append-only"):
        connection.execute(text(statement))


def test_two_threads_append_without_losing_a_record(url: str, record: Record) -> None:
    store = RecordStore(url)
    batches = [[renewed(record) for _ in range(40)] for _ in range(2)]
    threads = [threading.Thread(target=lambda batch=batch: [store.append(each) for each in batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(store.counts_by_action().values()) == 80


def test_a_store_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match=r"x\.db"):
        RecordStore(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(StoreError, match="not a database URL"):
        RecordStore("records.db")


def test_a_driver_that_is_missing_is_named_and_the_password_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError) as caught:
        RecordStore("postgresql+psycopg://zhentu:hunter2@db/zhentu")
    assert str(caught.value) == ("the driver of postgresql+psycopg is not installed: pip install zhentu[postgres]")
