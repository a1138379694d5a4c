"""Order, limits and pages of the store's tables: what is newest, what is due, what is left."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from fakes import verdict
from review_fixtures import record
from sqlalchemy import Table, select, update

from zhentu.banks.hashing import fingerprint_of
from zhentu.errors import ConfigError, NotFound, RecordNotFound, RecordUnreadable, StoreError
from zhentu.ids import new_id
from zhentu.record import audit, retention
from zhentu.record.codec import decode_record, encode_record
from zhentu.record.database import Database, aware
from zhentu.record.job_store import ItemState, JobKind, JobRequest, JobStore, new_job
from zhentu.record.keys import KeyStore, key_id_of
from zhentu.record.known import KnownStore, ScannedRecord, decision_digest
from zhentu.record.outbox import BACK_OFF_S, Outbox, new_message
from zhentu.record.pictures import PictureStore
from zhentu.record.schema import job_pictures, outbox
from zhentu.record.store import Claim, RecordStore, RecordWrite
from zhentu.types import Action, Listing, MessageState, ModelRef, Picture, Record, Role


@pytest.fixture
def store(database: Database) -> RecordStore:
    return RecordStore(database)


def scored(number: int, model: str = "1", seller: str = "S") -> Record:
    made = record(number, seller=seller)
    return replace(made, verdict=replace(verdict(0.25), model=ModelRef("zhentu", model, model * 64)))


def due_after(database: Database, table: Table) -> float:
    """Seconds from now until the only row of a queue is due."""
    with database.begin() as connection:
        (moment,) = connection.execute(select(table.c.due_at)).scalars().all()
    return (aware(moment) - datetime.now(UTC)).total_seconds()


def test_the_newest_verdicts_come_first_and_no_more_than_asked_for(store: RecordStore) -> None:
    for k in range(3):
        made = scored(k)
        store.append(replace(made, verdict=replace(made.verdict, scores=verdict(0.1 * k).scores)))
    store.append(scored(9, model="2"))
    found = store.latest_verdicts("1" * 64, 2)
    assert [each.scores.forged for each in found] == pytest.approx([0.2, 0.1])
    assert store.latest_verdicts("3" * 64, 2) == ()


def test_the_newest_screening_of_the_same_bytes_answers(store: RecordStore) -> None:
    first = scored(1)
    second = replace(first, record_id=new_id(), verdict=replace(first.verdict, scores=verdict(0.9).scores))
    store.append_many([second, first])
    record_id, found = store.verdict_for(first.picture_sha256, "1" * 64, "default")
    assert (record_id, found.scores.forged) == (second.record_id, 0.9)


def test_records_are_counted_by_action_and_nought_is_counted_too(store: RecordStore) -> None:
    store.append_many([])
    assert set(store.counts_by_action().values()) == {0}
    store.append_many([scored(1), scored(2)])
    counts = store.counts_by_action()
    assert sum(counts.values()) == 2
    assert set(counts) == set(Action)


def test_a_record_is_seen_by_its_tenant_and_by_those_who_see_all(store: RecordStore) -> None:
    made = scored(1)
    store.append(made)
    assert store.get(made.record_id) == store.get(made.record_id, "default") == made
    with pytest.raises(RecordNotFound):
        store.get(made.record_id, "shop-a")


def test_a_request_without_claims_was_never_answered(store: RecordStore) -> None:
    store.keep(RecordWrite(scored(1), (Claim("1" * 64, "a" * 64),)))
    assert store.answered([]) is None


def test_what_was_answered_late_is_kept_with_its_message_and_its_picture(
    store: RecordStore, database: Database
) -> None:
    job = new_job(JobKind.DEFERRED, [JobRequest("a.jpg", Listing(), b"x")])
    late = RecordWrite(scored(1), (Claim("1" * 64, "a" * 64),), (new_message("k", "https://a.example", "{}"),), job)
    for _ in range(2):
        store.keep_late(late)
    assert (Outbox(database).waiting(), JobStore(database).waiting()) == (1, 1)
    assert store.answered(late.claims) == late.record


@pytest.mark.parametrize("attempt", [0, 3, len(BACK_OFF_S) - 1])
def test_a_message_waits_longer_after_each_failure(database: Database, attempt: int) -> None:
    box = Outbox(database)
    box.put([new_message("k", "https://a.example", "{}")])
    with database.begin() as connection:
        connection.execute(update(outbox).values(attempts=attempt))
    taken = box.take(lease_s=600)
    assert taken.attempts == attempt
    assert due_after(database, outbox) == pytest.approx(600, abs=60)
    assert box.failed(taken, "x" * 400) is MessageState.PENDING
    assert due_after(database, outbox) == pytest.approx(BACK_OFF_S[attempt], abs=60)
    assert len(box.list()[0].last_error) == 300


def test_the_schedule_of_a_message_ends_after_about_two_days() -> None:
    assert list(BACK_OFF_S) == sorted(BACK_OFF_S)
    assert 36 * 3600 < sum(BACK_OFF_S) < 72 * 3600


def test_the_message_that_has_been_due_longest_is_taken_first(database: Database) -> None:
    box = Outbox(database)
    for body in ("1", "2", "3"):
        box.put([new_message("k", "https://a.example", body)])
    with database.begin() as connection:
        moment = datetime.now(UTC) - timedelta(hours=1)
        connection.execute(update(outbox).where(outbox.c.body == "2").values(due_at=moment))
    assert box.take().body == "2"
    assert [each.body for each in box.list()] == ["3", "2", "1"]
    assert [each.body for each in box.list(limit=1)] == ["3"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.example/x", "a.example:443"),
        ("http://a.example", "a.example:80"),
        ("http://a.example:8080/x", "a.example:8080"),
        ("https://[::1", ""),
    ],
)
def test_a_message_knows_its_destination(url: str, host: str) -> None:
    assert new_message("k", url, "{}").host == host


def test_one_message_is_replayed_whatever_its_state_and_no_other(database: Database) -> None:
    box = Outbox(database)
    box.put([new_message("k", "https://a.example", body) for body in ("1", "2")])
    taken = [box.take(), box.take()]
    for each in taken:
        box.delivered(each)
    assert box.replay() == 0, "none is dead"
    assert box.replay(taken[0].message_id) == 1
    assert {each.message_id: each.state for each in box.list()} == {
        taken[0].message_id: MessageState.PENDING,
        taken[1].message_id: MessageState.DELIVERED,
    }


def test_a_picture_of_a_job_is_leased_for_as_long_as_said(database: Database) -> None:
    jobs = JobStore(database)
    job = new_job(JobKind.JOB, [JobRequest("a.jpg", Listing(), b"x")], "https://c.example", "key", "shop-a")
    jobs.put(job)
    task = jobs.take(600)
    assert (task.attempts, task.owner, task.tenant, task.position) == (1, "key", "shop-a", 0)
    assert due_after(database, job_pictures) == pytest.approx(600, abs=60)
    jobs.later(task, 120)
    assert due_after(database, job_pictures) == pytest.approx(120, abs=60)
    status = jobs.status(job.job_id, "shop-a")
    assert (status.items[0].state, status.owner, status.callback_url) == (ItemState.QUEUED, "key", "https://c.example")
    with pytest.raises(NotFound):
        jobs.status(job.job_id, "shop-b")


def test_an_error_of_a_job_is_cut_where_the_table_ends(database: Database) -> None:
    jobs = JobStore(database)
    job = new_job(JobKind.JOB, [JobRequest("a.jpg", Listing(), b"x")])
    jobs.put(job)
    jobs.failed(jobs.take(60), "picture_corrupt", "x" * 600)
    (item,) = jobs.status(job.job_id).items
    assert (item.state, item.error_code, len(item.error_detail)) == (ItemState.FAILED, "picture_corrupt", 500)
    assert jobs.finish(job.job_id, None)
    assert not jobs.finish(job.job_id, None)


def test_a_chain_of_more_than_a_page_is_walked_to_its_end(database: Database) -> None:
    with database.begin() as connection:
        for number in range(1001):
            audit.append(connection, "ann", "act", f"item:{number % 2}", {"n": number})
    chain = audit.verify(database)
    assert (chain.entries, chain.broken_at) == (1001, None)
    assert sum(1 for _ in audit.entries(database, "item:0")) == 501
    assert [each.seq for each in audit.entries(database, after=999)] == [1000, 1001]


def test_what_is_exactly_as_old_as_the_limit_is_kept(store: RecordStore, database: Database) -> None:
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    old, at = (replace(scored(n), created_at=moment - timedelta(seconds=1 - n)) for n in (0, 1))
    store.append_many([old, at])
    assert retention.count(database, before=moment) == 1
    retention.prune_before(database, moment)
    assert store.get(at.record_id) == at
    with pytest.raises(RecordNotFound):
        store.get(old.record_id)


def test_more_records_than_one_transaction_takes_are_pruned_to_the_last(store: RecordStore, database: Database) -> None:
    store.append_many([scored(number, seller="S1") for number in range(501)] + [scored(999, seller="S2")])
    assert retention.count(database, seller_id="S1") == 501
    assert len(retention.prune_seller(database, "S1")) == 501
    assert (retention.count(database), retention.count(database, seller_id="S1")) == (1, 0)


def test_a_picture_that_another_record_still_shows_is_not_given_up(store: RecordStore, database: Database) -> None:
    shared = scored(1, seller="S1")
    store.append_many([shared, replace(shared, record_id=new_id(), listing=Listing("L", "S2")), scored(2, seller="S1")])
    assert retention.prune_seller(database, "S1") == (("default", scored(2).picture_sha256),)


def test_known_verdicts_are_those_of_the_models_asked_for(database: Database) -> None:
    known = KnownStore(database)
    made = scored(1)
    look = replace(fingerprint_of(Picture(gradient(), made.picture_sha256, "PNG", 1)), quality=100)
    known.keep([])
    known.keep([ScannedRecord(made, "d" * 64, look)])
    known.keep([ScannedRecord(replace(made, record_id=new_id()), "d" * 64, look)])  # another scan came first
    assert known.verdict(made.picture_sha256, ["2" * 64]) is None
    found = known.verdict(made.picture_sha256, ["1" * 64, "2" * 64])
    assert (found.record, found.fingerprint.pdq, found.fingerprint.usable) == (made, look.pdq, True)
    assert known.decision("d" * 64) == made
    assert known.decision("e" * 64) is None


def test_what_was_kept_before_the_answer_was_lost_is_kept_once(database: Database) -> None:
    known, made = KnownStore(database), ScannedRecord(scored(1), "d" * 64)
    known.keep([made])
    known.keep([made, ScannedRecord(scored(2), "e" * 64)])  # the same call again, and what has come since
    assert retention.count(database) == 2
    assert known.decision("e" * 64) is not None


def test_a_flat_picture_is_known_without_its_look(database: Database) -> None:
    known, made = KnownStore(database), scored(1)
    look = fingerprint_of(Picture(gradient(0), made.picture_sha256, "PNG", 1))
    known.keep([ScannedRecord(made, "d" * 64, look), ScannedRecord(scored(2), "e" * 64)])
    found = known.verdict(made.picture_sha256, ["1" * 64])
    assert (found.fingerprint.pdq, found.fingerprint.usable) == (b"", False)
    assert known.verdict(scored(2).picture_sha256, ["1" * 64]) is None, "its verdict was taken over, not made"


def gradient(slope: int = 4) -> np.ndarray:
    row = (np.arange(64) * slope % 256).astype(np.uint8)
    return np.stack([np.add.outer(row, row)] * 3, axis=-1).astype(np.uint8)


def test_everything_a_decision_depends_on_is_in_its_digest() -> None:
    asked = ("a" * 64, "rules", "a.jpg", Listing("L1"), ("r",))
    others = [
        ("b" * 64, *asked[1:]),
        (asked[0], "other", *asked[2:]),
        (*asked[:2], "b.jpg", *asked[3:]),
        (*asked[:3], Listing("L2"), asked[4]),
        (*asked[:4], ()),
        (*asked[:4], ("s",)),
    ]
    assert len({decision_digest(*each) for each in (asked, *others)}) == 7
    assert decision_digest(*asked) == decision_digest(*asked)


def test_keys_are_listed_oldest_first_and_found_when_revoked(database: Database) -> None:
    keys = KeyStore(database)
    made = [keys.create(name, Role.SCREEN, rate)[0] for name, rate in (("b", 2.5), ("a", None), ("n" * 100, 0.0))]
    assert [each.name for each in keys.list()] == ["b", "a", "n" * 100]
    assert [each.rate_per_s for each in keys.list()] == [2.5, None, 0.0]
    keys.revoke(made[1].key_id)
    assert keys.find(made[1].key_id).revoked_at is not None
    assert keys.find(made[0].key_id) == made[0]
    assert keys.find("none") is None


@pytest.mark.parametrize(
    ("token", "key_id"),
    [
        ("zt_abc_s_e_c", "abc"),
        (f"zt_{'a' * 16}_x", "a" * 16),
        (f"zt_{'a' * 17}_x", ""),
        ("xx_abc_s", ""),
        ("zt_abc", ""),
    ],
)
def test_the_public_part_of_a_token_is_short_and_between_underscores(token: str, key_id: str) -> None:
    assert key_id_of(token) == key_id


def test_a_record_that_cannot_be_read_says_what_is_wrong() -> None:
    content = json.loads(encode_record(scored(1)))
    del content["decision"]
    for text in (json.dumps(content), "[]", "{", '{"decision": 3}'):
        with pytest.raises(RecordUnreadable, match="cannot be read"):
            decode_record(text)


def test_what_was_decided_by_0_1_is_read_with_its_kinds_and_categories() -> None:
    content = json.loads(encode_record(scored(1)))
    old = {"action": "review", "en": "x", "zh": "x", "score": 0.9, "threshold": 0.5}
    codes = ["mode_off", "nothing_found", "screening_deferred", "bank_known_bad", "score_cutout_artifact"]
    content["decision"]["reasons"] = [old | {"code": code} for code in codes]
    content["decision"]["reasons"][-1]["label"] = "cutout_artifact"
    content["decision"]["thresholds"] = {"cutout_artifact.review": 0.5, "comparison.review": 0.7}
    decision = decode_record(json.dumps(content)).decision
    assert [each.kind.value for each in decision.reasons] == ["mode_off", "nothing_found", "deferred", "bank", "score"]
    assert [each.category for each in decision.reasons] == [None, None, None, None, "cutout_artifact"]
    assert [(each.category.value, each.basis.value, each.value) for each in decision.thresholds] == [
        ("cutout_artifact", "picture alone", 0.5),
        ("material_mismatch", "reference", 0.7),
    ]


def test_tenants_keep_the_same_picture_apart(tmp_path: Path) -> None:
    pictures = PictureStore(str(tmp_path))
    for tenant in ("default", "shop-a"):
        pictures.put("ab" * 32, tenant.encode(), tenant)
        pictures.put("ab" * 32, b"a second time", tenant)
    assert pictures.get("ab" * 32, "shop-a") == b"shop-a"
    pictures.remove([("shop-a", "ab" * 32)])
    assert pictures.get("ab" * 32, "default") == b"default"
    with pytest.raises(NotFound, match="is not kept"):
        pictures.get("ab" * 32, "shop-a")


def test_where_nothing_is_kept_nothing_is_found_or_missed(tmp_path: Path) -> None:
    nothing = PictureStore(None)
    nothing.put("ab" * 32, b"x", "default")
    nothing.remove([("default", "ab" * 32)])
    with pytest.raises(NotFound, match="ZHENTU_STORE_PICTURES"):
        nothing.get("ab" * 32, "default")
    with pytest.raises(ConfigError, match=r"store\.pictures"):
        PictureStore("nosuch://bucket")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written"):
        PictureStore(str(tmp_path / "file")).put("ab" * 32, b"x", "default")


def test_pictures_are_kept_in_other_stores_too() -> None:
    pictures = PictureStore("memory://kept")
    pictures.put("ab" * 32, b"x", "shop-a")
    assert pictures.get("ab" * 32, "shop-a") == b"x"
    pictures.remove([("shop-a", "ab" * 32)])
    with pytest.raises(NotFound):
        pictures.get("ab" * 32, "shop-a")
