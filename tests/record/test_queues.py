"""Outbox, jobs and model history: what is taken is taken once, and what fails comes back."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select, update

from zhentu.errors import NotFound, UsageError
from zhentu.record.database import Database, now
from zhentu.record.history import ModelHistory
from zhentu.record.job_store import ItemState, JobKind, JobRequest, JobStore, decode_request, new_job
from zhentu.record.outbox import BACK_OFF_S, Outbox, new_message
from zhentu.record.schema import job_pictures, outbox
from zhentu.types import Listing, MessageState


def due_now(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(update(outbox).values(due_at=now()))
        connection.execute(update(job_pictures).values(due_at=now()))


@pytest.fixture
def messages(database: Database) -> Outbox:
    box = Outbox(database)
    box.put([new_message("picture.screened", "https://a.example", '{"n": 1}')])
    return box


def test_a_message_is_taken_by_one_deliverer(messages: Outbox) -> None:
    taken = [messages.take(), messages.take()]
    assert [each is None for each in taken] == [False, True]
    messages.delivered(taken[0])
    assert messages.list()[0].state is MessageState.DELIVERED
    assert messages.waiting() == 0


def test_a_deliverer_that_died_loses_its_message_to_the_next(messages: Outbox, database: Database) -> None:
    messages.take(lease_s=600)
    due_now(database)
    assert messages.take() is not None


def test_a_message_that_fails_backs_off_dies_and_can_be_replayed(messages: Outbox, database: Database) -> None:
    states = []
    for _ in range(len(BACK_OFF_S) + 1):
        due_now(database)
        states.append(messages.failed(messages.take(), "the receiver answered 500"))
    assert states == [MessageState.PENDING] * len(BACK_OFF_S) + [MessageState.DEAD]
    due_now(database)
    assert messages.take() is None
    assert messages.list(MessageState.DEAD)[0].last_error == "the receiver answered 500"
    assert messages.replay() == 1
    assert messages.take().attempts == 0
    with pytest.raises(NotFound):
        messages.replay("msg_unknown")


def test_messages_are_shared_out_among_deliverers(database: Database) -> None:
    box, taken, lock = Outbox(database), [], threading.Lock()
    box.put([new_message("k", "https://a.example", str(n)) for n in range(20)])

    def run() -> None:
        misses = 0
        while misses < 5:
            message = box.take(lease_s=3600)
            with lock:
                taken.extend([message.message_id] if message else [])
            misses += message is None

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(set(taken))) == (20, 20)


def test_a_job_is_closed_once_when_all_its_pictures_are_settled(database: Database) -> None:
    jobs = JobStore(database)
    request = JobRequest("a.jpg", Listing("L1", declared_attributes={"a": "b"}), b"\xff\x00", references=(b"\xfe",))
    job = new_job(
        JobKind.JOB, [request, JobRequest("b.jpg", Listing(), None, "https://b.example")], "https://c.example"
    )
    jobs.put(job)
    first, second = jobs.take(60), jobs.take(60)
    assert {first.position, second.position} == {0, 1}
    taken = first if first.position == 0 else second
    assert taken.request == request
    assert jobs.take(60) is None
    jobs.done(taken, "r1")
    assert not jobs.finish(job.job_id, None)
    jobs.failed(second if taken is first else first, "fetch_failed", "gone")
    message = new_message("job.finished", job.callback_url, "{}")
    assert [jobs.finish(job.job_id, message), jobs.finish(job.job_id, message)] == [True, False]
    status = jobs.status(job.job_id)
    assert [each.state for each in status.items] == [ItemState.DONE, ItemState.FAILED]
    assert status.finished_at is not None
    assert Outbox(database).waiting() == 1


def test_a_job_that_is_closed_leaves_the_others_open(database: Database) -> None:
    jobs, request = JobStore(database), JobRequest("a.jpg", Listing(), b"\xff")
    first, other = (new_job(JobKind.JOB, [request]) for _ in range(2))
    jobs.put(first)
    jobs.done(jobs.take(60), "r1")
    jobs.put(other)
    assert jobs.finish(first.job_id, None)
    assert jobs.status(other.job_id).finished_at is None
    assert not jobs.finish(other.job_id, None), "its picture waits"


def test_a_picture_that_must_wait_comes_back(database: Database) -> None:
    jobs = JobStore(database)
    jobs.put(new_job(JobKind.DEFERRED, [JobRequest("a.jpg", Listing(), b"x")]))
    jobs.later(jobs.take(60), 3600)
    assert jobs.take(60) is None
    due_now(database)
    assert jobs.take(60).attempts == 2
    assert jobs.waiting() == 1
    with pytest.raises(NotFound):
        jobs.status("none")


def test_a_rollback_finds_the_model_before(database: Database) -> None:
    history = ModelHistory(database)
    assert history.current() is None
    with pytest.raises(UsageError):
        history.previous()
    history.use("a@1")
    assert history.previous() == "", "before the first choice the settings decided"
    history.use("b@1")
    assert (history.current(), history.previous()) == ("b@1", "a@1")


@pytest.mark.parametrize("end", ["done", "failed"])
def test_bytes_of_a_job_go_when_its_picture_is_settled_and_so_do_its_references(database: Database, end: str) -> None:
    store = JobStore(database)
    store.put(new_job(JobKind.DEFERRED, [JobRequest("a.jpg", Listing("L1"), b"picture", references=(b"reference",))]))
    task = store.take(60)
    assert (task.request.payload, task.request.references) == (b"picture", (b"reference",))
    _ = store.done(task, "r1") if end == "done" else store.failed(task, "picture_corrupt", "broken")
    with database.begin() as connection:
        row = connection.execute(select(job_pictures)).one()
    kept = decode_request(row.request)
    assert (row.payload, kept.references, kept.listing.listing_id) == (None, (), "L1")


def test_a_row_that_cannot_be_read_keeps_no_other_waiting(database: Database) -> None:
    store = JobStore(database)
    broken = new_job(JobKind.JOB, [JobRequest("a.jpg", Listing(), b"1")])
    store.put(broken)
    with database.begin() as connection:
        connection.execute(update(job_pictures).values(request="{}"))
    store.put(new_job(JobKind.JOB, [JobRequest("b.jpg", Listing(), b"2")]))
    taken = [store.take(60), store.take(60)]
    assert [task.request.name for task in taken if task] == ["b.jpg"]
    assert store.status(broken.job_id).items[0].error_code == "job_unreadable"


def test_messages_of_busy_owners_and_receivers_are_left_out(database: Database) -> None:
    box = Outbox(database)
    box.put(
        [new_message("k", "https://a.example/1", "1", "mallory"), new_message("k", "https://b.example", "2", "shop")]
    )
    lane = ("mallory", "a.example:443")
    assert box.take(owners=["mallory", "shop"]) is None
    assert box.take(lanes=[lane, ("shop", "b.example:443")]) is None
    assert box.take(lanes=[lane]).owner == "shop"
    assert box.take(lanes=[("mallory", "b.example:443"), ("shop", "a.example:443")]).owner == "mallory"


def test_jobs_of_busy_owners_are_left_out(database: Database) -> None:
    store = JobStore(database)
    for owner in ("mallory", "shop"):
        store.put(new_job(JobKind.JOB, [JobRequest("a.jpg", Listing(), b"x")], owner=owner))
    assert store.take(60, owners=["mallory", "shop"]) is None
    assert store.take(60, owners=["mallory"]).owner == "shop"
