"""Claims, spool, retention: each record once, none lost, and forgotten only by the documented way."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import encoded, photo
from fakes import FakeDetector
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from zhentu.decide.policy import Policy
from zhentu.detect.entries import ModelEntry
from zhentu.errors import IdempotencyConflict, RecordNotFound, StoreError, UsageError
from zhentu.ids import new_id
from zhentu.intake.decode import DecodeLimits
from zhentu.record import retention
from zhentu.record.database import Database
from zhentu.record.job_store import JobKind, JobRequest, JobStore, new_job
from zhentu.record.outbox import Outbox, new_message
from zhentu.record.pictures import PictureStore
from zhentu.record.schema import records, retention_log, retention_pass
from zhentu.record.spool import Spool
from zhentu.record.store import Claim, RecordStore, RecordWrite
from zhentu.screen import Screener
from zhentu.types import Category, Inquiry, Listing, Record


@pytest.fixture
def record(entry: ModelEntry, policy: Policy) -> Record:
    listing = Listing("L1", "S1", declared_attributes={"material": "cotton"})
    payload = encoded(photo(), "JPEG")
    screener = Screener(FakeDetector(entry), policy, DecodeLimits())
    return screener.screen(Inquiry.of(payload, listing=listing)).record


@pytest.fixture
def store(database: Database) -> RecordStore:
    return RecordStore(database)


def again(record: Record, **changes: object) -> Record:
    return replace(record, record_id=new_id(), **changes)


def claim(name: str, asked: str = "a") -> Claim:
    return Claim(name * 64, asked * 64)


def test_the_first_record_of_a_claim_answers_the_second(store: RecordStore, record: Record) -> None:
    assert store.keep(RecordWrite(record, (claim("1"),))) == record
    assert store.keep(RecordWrite(again(record), (claim("1"),))) == record
    assert store.answered([claim("1")]) == record
    assert store.answered([claim("2")]) is None


def test_a_claim_for_another_request_is_a_conflict(store: RecordStore, record: Record) -> None:
    store.keep(RecordWrite(record, (claim("1", "a"),)))
    with pytest.raises(IdempotencyConflict):
        store.keep(RecordWrite(again(record), (claim("1", "b"), claim("2"))))
    with pytest.raises(IdempotencyConflict):
        store.answered([claim("1", "b")])


def test_the_first_claim_wins_where_they_disagree(store: RecordStore, record: Record) -> None:
    other = again(record)
    for name in "0f":  # whatever sorts first
        keyed, content = claim(name, "a"), claim("7", "7")
        store.keep(RecordWrite(again(record), (keyed,)))
        if name == "0":
            store.keep(RecordWrite(other, (content,)))
        assert store.answered([content, keyed]) == other
        assert store.answered([keyed, content]) != other


def test_a_new_key_for_an_answered_request_stands_for_it_from_then_on(store: RecordStore, record: Record) -> None:
    content, key = claim("c", "c"), claim("k", "c")
    store.keep(RecordWrite(record, (content,)))
    assert store.answered([key, content]) == record
    with pytest.raises(IdempotencyConflict):
        store.answered([Claim(key.claim, "d" * 64)])


def test_of_concurrent_duplicates_one_record_remains(store: RecordStore, record: Record) -> None:
    start, kept = threading.Barrier(4), []

    def run() -> None:
        start.wait()
        kept.append(store.keep(RecordWrite(again(record), (claim("1"),))).record_id)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 4
    assert len(set(kept)) == 1
    assert sum(store.counts_by_action().values()) == 1


def test_record_message_and_deferred_picture_are_written_together_or_not_at_all(
    store: RecordStore, database: Database, record: Record
) -> None:
    job = new_job(JobKind.DEFERRED, [JobRequest("a.jpg", Listing(), b"x")])
    messages = (new_message("picture.screened", "https://a.example", "{}"),)
    store.keep(RecordWrite(record, (), messages, job))
    with pytest.raises(StoreError):
        store.keep(RecordWrite(record, (), (new_message("picture.screened", "https://a.example", "{}"),)))
    assert (Outbox(database).waiting(), JobStore(database).waiting()) == (1, 1)


def test_the_verdict_of_the_same_bytes_and_model_is_found(store: RecordStore, record: Record) -> None:
    store.append(record)
    model = record.verdict.model.sha256
    assert store.verdict_for(record.picture_sha256, model, "default") == (record.record_id, record.verdict)
    assert store.verdict_for(record.picture_sha256, "1" * 64, "default") is None
    assert store.verdict_for(record.picture_sha256, model, "shop-a") == ("", record.verdict), (
        "the score, not the record"
    )
    assert store.latest_verdicts(model, 5) == (record.verdict,)


def test_what_was_spooled_is_written_once(tmp_path: Path, store: RecordStore, record: Record) -> None:
    spool = Spool(tmp_path / "spool")
    kept = RecordWrite(record, (claim("1"),), (new_message("k", "https://a.example", "{}"),))
    spool.put(kept)
    spool.put(RecordWrite(again(record), (claim("1"),)))  # the same request, answered twice while the store was down
    assert spool.waiting() == 2
    store.keep_late(kept)  # a replay that was killed after writing the first
    assert spool.replay(store) == 2
    assert sum(store.counts_by_action().values()) == 2
    assert store.answered([claim("1")]) == record
    assert (spool.replay(store), spool.waiting()) == (0, 0)
    spool.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_the_spool_of_a_dead_process_is_replayed_by_the_next(
    tmp_path: Path, store: RecordStore, record: Record
) -> None:
    dead = Spool(tmp_path)
    dead.put(RecordWrite(record))
    living = Spool(tmp_path)
    assert living.replay(store) == 0, "its owner still lives"
    dead._file.write(b'{"record": {"half a li')  # killed while writing
    dead._file.close()
    assert living.replay(store) == 1
    assert store.get(record.record_id) == record


def test_a_spool_that_cannot_be_written_is_an_error(tmp_path: Path, record: Record) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="nothing was decided"):
        Spool(tmp_path / "file" / "spool").put(RecordWrite(record))


def test_old_records_are_pruned_with_their_claims(store: RecordStore, database: Database, record: Record) -> None:
    old = again(record, created_at=datetime.now(UTC) - timedelta(days=200))
    fresh = again(record)
    store.keep(RecordWrite(old, (claim("1"),)))
    store.keep(RecordWrite(fresh, (claim("2"),)))
    moment = datetime.now(UTC) - timedelta(days=100)
    assert retention.count(database, before=moment) == 1
    assert retention.prune_before(database, moment) == (), "the picture still has a record"
    with pytest.raises(RecordNotFound):
        store.get(old.record_id)
    assert store.get(fresh.record_id) == fresh
    assert store.answered([claim("1")]) is None
    with database.begin() as connection:
        assert connection.execute(select(retention_log.c.record_count)).scalars().all() == [1]


def test_a_seller_can_be_forgotten(store: RecordStore, database: Database, record: Record) -> None:
    other = again(record, listing=Listing("L2", "S2"), picture_sha256="2" * 64)
    store.append_many([record, other])
    assert retention.prune_seller(database, "S1") == (("default", record.picture_sha256),)
    assert retention.count(database, seller_id="S1") == 0
    assert store.get(other.record_id) == other


def test_a_seller_of_one_tenant_is_forgotten_and_his_namesake_is_not(
    store: RecordStore, database: Database, record: Record
) -> None:
    theirs = again(record, listing=replace(record.listing, tenant="shop-a"))
    store.append_many([record, theirs])
    JobStore(database).put(new_job(JobKind.JOB, [JobRequest("a", Listing(seller_id="S1"), b"x")]))
    assert retention.count(database, seller_id="S1", tenant="shop-a") == 1
    assert retention.prune_seller(database, "S1", "shop-a") == (("shop-a", record.picture_sha256),)
    assert store.get(record.record_id) == record
    assert JobStore(database).waiting() == 1


def test_pictures_of_a_forgotten_seller_do_not_wait_any_more(database: Database) -> None:
    jobs = JobStore(database)
    waiting = [JobRequest("a", Listing(seller_id=seller), b"x") for seller in ('卖家"1"_', "卖家%", "other")]
    jobs.put(new_job(JobKind.JOB, waiting))
    retention.prune_seller(database, '卖家"1"_')
    retention.prune_seller(database, "卖家")
    assert jobs.waiting() == 2
    assert {jobs.take(60).request.listing.seller_id for _ in range(2)} == {"卖家%", "other"}


def test_messages_that_ended_are_pruned_with_old_records(database: Database) -> None:
    box = Outbox(database)
    box.put([new_message("k", "https://a.example", str(n)) for n in range(2)])
    box.delivered(box.take())
    retention.prune_before(database, datetime.now(UTC) + timedelta(seconds=1))
    assert len(box.list()) == 1


def test_after_a_prune_the_database_refuses_to_delete_again(
    store: RecordStore, database: Database, record: Record
) -> None:
    store.append_many([record, again(record, listing=Listing("L2", "S2"), picture_sha256="2" * 64)])
    retention.prune_seller(database, "S1")
    with pytest.raises((StoreError, IntegrityError), match="append-only"), database.begin() as connection:
        connection.execute(delete(records))
    with database.begin() as connection:
        assert connection.execute(select(retention_pass)).all() == []


def test_pictures_are_kept_and_forgotten(tmp_path: Path) -> None:
    pictures = PictureStore(str(tmp_path / "pictures"))
    pictures.put("ab" * 32, b"bytes", "default")
    assert pictures.get("ab" * 32, "default") == b"bytes"
    pictures.remove([("default", "ab" * 32), ("default", "cd" * 32)])
    assert not PictureStore(None).kept
    assert list((tmp_path / "pictures").rglob("ab*/*")) == []


def test_a_line_that_cannot_be_replayed_is_set_aside_and_named_and_holds_up_no_other(
    tmp_path: Path, store: RecordStore, record: Record, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [b'{"version":99,"write":{}}\n', b"[]\n", b'{"record": {"half a li\n']
    dead = Spool(tmp_path)
    dead.put(RecordWrite(record))
    path = Path(dead._file.name)
    dead.close()
    path.write_bytes(lines[0] + path.read_bytes() + b"".join(lines[1:]))
    assert Spool(tmp_path).replay(store) == 1
    assert store.get(record.record_id) == record
    (aside,) = (tmp_path / "unread").iterdir()
    assert aside.read_bytes() == b"".join(lines)
    assert "line 1 of" in caplog.text
    assert "version 99" in caplog.text


def test_a_decision_that_the_store_refuses_holds_up_no_other(
    tmp_path: Path, store: RecordStore, record: Record
) -> None:
    spool = Spool(tmp_path)
    spool.put(RecordWrite(record, (), (new_message("k", "https://a.example/\x00", "{}"),)))
    spool.put(RecordWrite(again(record)))
    assert spool.replay(store) == 1
    assert len(list((tmp_path / "unread").iterdir())) == 1


def test_the_spool_of_the_previous_release_is_replayed(tmp_path: Path, store: RecordStore, database: Database) -> None:
    (tmp_path / "0.jsonl").write_bytes((Path(__file__).parent / "spool_0.1.jsonl").read_bytes())
    assert Spool(tmp_path).replay(store) == 1
    assert not (tmp_path / "unread").exists()
    kept = store.get("01a219e1-49d2-74fc-bcfe-8891928c533f")
    assert (kept.listing.goods, kept.decision.reasons[0].category) == ("kitchen", Category.AI_GENERATED)
    assert (Outbox(database).waiting(), JobStore(database).waiting()) == (1, 1)


def test_what_is_kept_is_nobody_elses_business(tmp_path: Path, record: Record) -> None:
    spool = Spool(tmp_path / "spool")
    spool.put(RecordWrite(record))
    store = RecordStore(f"sqlite:///{tmp_path}/deep/records.db")
    store.append(record)
    PictureStore(str(tmp_path / "pictures")).put("ab" * 32, b"bytes", "default")
    names = [each for folder in ("spool", "deep", "pictures") for each in (tmp_path / folder).rglob("*")]
    assert len(names) >= 4
    assert [each for each in names if each.stat().st_mode & 0o077] == []
    store.close()


def test_no_store_takes_a_nul(store: RecordStore, database: Database) -> None:
    with pytest.raises(UsageError, match="NUL"):
        Outbox(database).put([new_message("k", "https://a.example", "a\x00b")])
