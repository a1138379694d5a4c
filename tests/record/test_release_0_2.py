"""A store and a spool that zhentu 0.2 wrote are migrated and read; `release_0_2/make.py` says how they were made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text
from stored import shadowed

from zhentu.banks.bank import Banks
from zhentu.banks.store import BankStore
from zhentu.errors import StoreError
from zhentu.record import audit
from zhentu.record.codec import decode_record, encode_record
from zhentu.record.database import Database, migrate_store
from zhentu.record.history import ModelHistory
from zhentu.record.job_store import JobStore
from zhentu.record.keys import KeyStore
from zhentu.record.known import KnownStore
from zhentu.record.outbox import Outbox
from zhentu.record.scan_jobs import JobTable
from zhentu.record.schema import records
from zhentu.record.spool import Spool
from zhentu.record.store import Claim, RecordStore
from zhentu.review.fill import Filler, FillSettings
from zhentu.review.items import ReviewOutcome
from zhentu.review.queue import ReviewQueue
from zhentu.types import Action, BankKind, Basis, ReasonKind, Record

FOLDER = Path(__file__).parent / "release_0_2"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The old database, as it was left."""
    path = tmp_path / "records.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((FOLDER / "store.sql").read_text(encoding="utf-8"))
    return f"sqlite:///{path}"


@pytest.fixture
def migrated(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def all_records(database: Database) -> list[Record]:
    with database.begin() as connection:
        return [decode_record(row) for row in connection.scalars(select(records.c.body).order_by(records.c.created_at))]


def test_the_fixture_is_small_and_its_schema_is_older(url: str) -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 200_000
    with pytest.raises(StoreError, match="zhentu store migrate"):
        Database(url, auto_migrate=False)
    assert migrate_store(url)
    assert not migrate_store(url)
    Database(url, auto_migrate=False).close()


def test_every_record_is_read_and_is_the_same_when_written_again(migrated: Database) -> None:
    found = all_records(migrated)
    assert len(found) == 8
    assert [decode_record(encode_record(record)) for record in found] == found
    store = RecordStore(migrated)
    assert [store.get(record.record_id) for record in found] == found
    kinds = {reason.kind for record in found for reason in record.decision.reasons}
    assert {ReasonKind.BANK, ReasonKind.SCORE, ReasonKind.COMPARISON} <= kinds
    assert any(limit.basis is Basis.REFERENCE for record in found for limit in record.decision.thresholds)
    assert {record.listing.title for record in found} == {"", "连衣裙"}


def test_claims_jobs_and_messages_wait_as_they_did(migrated: Database) -> None:
    assert RecordStore(migrated).answered([Claim("e" * 64, "f" * 64)]) is not None
    task = JobStore(migrated).take(30)
    assert task is not None
    assert (task.request.name, task.request.listing.title) == ("late.jpg", "连衣裙")
    assert task.request.payload == task.request.references[0]
    assert Outbox(migrated).waiting() == len(Outbox(migrated).list()) == 5


def test_the_review_queue_goes_on_and_takes_what_0_2_could_not(migrated: Database) -> None:
    queue = ReviewQueue(migrated)
    with migrated.begin() as connection:
        decided = connection.scalars(text("SELECT record_id FROM review_decisions")).all()
        uncompared = connection.scalars(text("SELECT record_id FROM review_items")).all()
    outcomes = {each.outcome for record_id in decided for each in queue.decisions_for(record_id)}
    assert outcomes == {ReviewOutcome.UPHOLD, ReviewOutcome.OVERTURN}
    compared = [
        record.record_id
        for record in all_records(migrated)
        if any(reason.kind is ReasonKind.COMPARISON for reason in record.decision.reasons)
    ]
    assert compared
    assert not set(compared) & set(uncompared)
    assert Filler(migrated, lambda _: None, FillSettings(second_ratio=0)).fill() > 0
    held = {item.record_id for number in range(10) for item in queue.claim(f"reviewer {number}", count=2)}
    assert set(compared) <= held


def test_banks_match_what_they_matched(migrated: Database) -> None:
    store = BankStore(migrated)
    assert {name: bank.kind for name, bank in store.banks().items()} == {
        "known": BankKind.KNOWN_BAD,
        "acme": BankKind.BRAND_ORIGINAL,
        "allowed": BankKind.ALLOWED,
    }
    assert store.counts() == {"known": 1, "acme": 1, "allowed": 1}
    (original,) = store.entries("acme")
    assert (original.entry.pdq, original.entry.note, store.bank("acme").owners) == (
        bytes(range(32)),
        "原图",
        ("acme-shop",),
    )
    Banks(store).stop()


def test_keys_model_choice_shadow_audit_and_scans_are_kept(migrated: Database) -> None:
    (key,) = KeyStore(migrated).list()
    assert (key.name, key.role.value, key.rate_per_s) == ("pipeline", "screen", 5.0)
    assert ModelHistory(migrated).current() == "tiny@1"
    assert len(shadowed(migrated)) == 1
    chain = audit.verify(migrated)
    assert (chain.entries, chain.broken_at) == (11, None)
    (job,) = JobTable(migrated).newest()
    assert job.model == "tiny@1"
    scanned = [record for record in all_records(migrated) if record.path.startswith("/old/pictures")]
    models = {record.verdict.model.sha256 for record in scanned if record.verdict}
    known = [KnownStore(migrated).verdict(record.picture_sha256, models) for record in scanned]
    assert [each.record.record_id for each in known if each] == [record.record_id for record in scanned]


def test_its_spool_is_replayed(tmp_path: Path, migrated: Database) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    (folder / "dead.jsonl").write_bytes((FOLDER / "spool.jsonl").read_bytes())
    store = RecordStore(migrated)
    assert Spool(folder).replay(store) == 1
    answered = store.answered([Claim("c" * 64, "d" * 64)])
    assert answered is not None
    assert answered.decision.action is Action.REVIEW
    assert JobStore(migrated).waiting() == 2


def test_new_records_are_written_beside_old_ones(migrated: Database) -> None:
    store = RecordStore(migrated)
    before = sum(store.counts_by_action().values())
    (old,) = [record for record in all_records(migrated) if record.path.endswith("20.jpg")]
    store.append(decode_record(encode_record(old).replace(old.record_id, "0193a0b0-0000-7000-8000-000000000009")))
    assert sum(store.counts_by_action().values()) == before + 1
