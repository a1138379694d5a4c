"""What callers get while the store or the model is in trouble, and what becomes of it afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from conftest import encoded, photo
from fastapi.testclient import TestClient
from postgres import Postgres, binaries, patient_connections
from served import listening, picture, slow_app, until
from sqlalchemy import select, update
from stored import latest_for

from zhentu.bootstrap.screener import build_screener
from zhentu.errors import StoreError
from zhentu.gate.app import create_app
from zhentu.record.database import Database, now
from zhentu.record.job_store import JobKind, JobRequest, new_job
from zhentu.record.schema import job_pictures, records
from zhentu.record.store import RecordStore
from zhentu.screen import Screener
from zhentu.settings import Settings
from zhentu.types import Action, Listing, OnError, Record


class Breakable(Database):
    down = False

    @contextmanager
    def begin(self) -> Iterator[object]:
        if self.down:
            raise StoreError("the database is gone")
        with super().begin() as connection:
            yield connection


@pytest.fixture
def breakable(settings: Settings) -> Iterator[tuple[TestClient, Breakable]]:
    database = Breakable(settings.store_url)
    with TestClient(create_app(settings, make_store=lambda _: RecordStore(database))) as client:
        yield client, database


def kept(database: Database) -> list[str]:
    with database.begin() as connection:
        return list(connection.execute(select(records.c.record_id)).scalars())


def test_decisions_made_while_the_store_is_down_are_written_when_it_is_back(
    breakable: tuple[TestClient, Breakable],
) -> None:
    client, database = breakable
    database.down = True
    answers = [client.post("/v1/screen", files=picture(seed)) for seed in (1, 2, 1)]
    assert [each.status_code for each in answers] == [200] * 3
    ids = [each.json()["record_id"] for each in answers]
    assert ids[0] == ids[2], "a repeated request is recognised while the store is down, too"
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["code"]) == (503, "store_unavailable")
    assert client.get("/livez").status_code == 200
    database.down = False
    until(lambda: client.app.state.gate.spooled.spool.waiting() == 0)
    assert sorted(kept(database)) == sorted(set(ids))
    assert client.get(f"/v1/records/{ids[0]}").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_without_store_and_spool_nothing_is_decided(settings: Settings, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    database = Breakable(settings.store_url)
    blocked = settings.changed({"store.spool_dir": tmp_path / "file" / "x"})
    with TestClient(create_app(blocked, make_store=lambda _: RecordStore(database))) as client:
        database.down = True
        answer = client.post("/v1/screen", files=picture())
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        database.down = False


def test_a_broken_model_blocks_where_the_setting_says_so(settings: Settings) -> None:
    client, slow = slow_app(settings)
    slow.broken = True
    slow.go_on.set()
    with client:
        for seed in range(3):
            answer = client.post("/v1/screen", files=picture(seed))
            assert (answer.status_code, answer.json()["code"]) == (503, "model_unusable")
        assert client.get("/readyz").json()["code"] == "model_unusable"
        slow.broken = False
        assert client.post("/v1/screen", files=picture()).status_code == 200
        assert client.get("/readyz").status_code == 200


def test_a_broken_model_allows_and_queues_where_the_setting_says_so(settings: Settings) -> None:
    client, slow = slow_app(settings.changed({"gate.on_error": OnError.ALLOW_AND_QUEUE}))
    slow.broken, slow.score = True, 0.95
    slow.go_on.set()
    with client:
        body = client.post("/v1/screen", files=picture()).json()
        assert (body["action"], body["deferred"]) == ("allow", True)
        assert "检测" in body["reasons"][0]["zh"]
        slow.broken = False
        store: RecordStore = client.app.state.gate.store
        jobs = client.app.state.gate.jobs
        until(lambda: jobs.waiting() == 0 or _retry_now(store.database))
        late = latest_for(store.database, body["sha256"])
        assert late.verdict is not None
        assert late.evidence[0].name == "screened_late"
        assert body["record_id"] in late.evidence[0].detail


def test_a_picture_that_was_let_through_and_cannot_be_screened_goes_to_a_person(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        gate = client.app.state.gate
        payload = b"no picture at all"
        request = JobRequest("a.jpg", Listing("L1"), payload, note="deferred in 0190")
        gate.jobs.put(new_job(JobKind.DEFERRED, [request]))
        until(lambda: gate.jobs.waiting() == 0)
        late = latest_for(gate.store.database, hashlib.sha256(payload).hexdigest())
        assert (late.decision.action, late.decision.applied) == (Action.REVIEW, Action.REVIEW)
        assert [each.code for each in late.decision.reasons] == ["screening_impossible"]
        assert "人工" in late.decision.reasons[0].zh
        assert "unsupported_format" in late.evidence[1].detail


def test_a_picture_of_an_odd_kind_that_is_not_in_time_is_never_let_through(settings: Settings) -> None:
    chosen = settings.changed({"gate.on_error": OnError.ALLOW_AND_QUEUE, "gate.deadline_s": 0.05})
    client, slow = slow_app(chosen)
    with client:
        odd = {"picture": ("a.avif", encoded(photo(), "AVIF"), "image/avif")}
        assert client.post("/v1/screen", files=odd).json()["code"] == "picture_too_slow"
        assert client.post("/v1/screen", files=picture()).json()["deferred"]
        slow.go_on.set()


def _retry_now(database: Database) -> bool:
    with database.begin() as connection:
        connection.execute(update(job_pictures).where(job_pictures.c.state == "queued").values(due_at=now()))
    return False


def test_a_deferred_picture_survives_an_outage_of_the_store(settings: Settings) -> None:
    database = Breakable(settings.store_url)
    _, slow = slow_app(settings)
    built = build_screener(settings)
    slow.broken = True
    slow.go_on.set()
    chosen = settings.changed({"gate.on_error": OnError.ALLOW_AND_QUEUE})
    app = create_app(chosen, lambda _: Screener(slow, built.policy, built.limits), lambda _: RecordStore(database))
    with TestClient(app) as client:
        database.down = True
        body = client.post("/v1/screen", files=picture()).json()
        assert body["deferred"]
        database.down = False
        until(lambda: client.app.state.gate.jobs.waiting() == 1)


@pytest.fixture
def durable() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip("PostgreSQL 15+ is not installed: apt-get install postgresql (.ci/run does so as root)")
    server = Postgres(durable=True)
    with patient_connections():
        yield server
    server.close()


def test_postgresql_stopped_and_started_again_loses_no_decision(settings: Settings, durable: Postgres) -> None:
    url = durable.new_database()
    Database(url, auto_migrate=True).close()
    app = create_app(settings.changed({"store.url": url}))
    ids = []
    with listening(app) as port:

        def post(seed: int) -> httpx.Response:
            return httpx.post(f"http://127.0.0.1:{port}/v1/screen", files=picture(seed), timeout=120)

        ids.append(post(1).json()["record_id"])
        durable.stop()
        down = [post(seed) for seed in range(2, 6)]
        assert [each.status_code for each in down] == [200] * 4
        ids += [each.json()["record_id"] for each in down]
        durable.start()
        until(lambda: app.state.gate.spooled.spool.waiting() == 0)
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200)
        ids.append(post(6).json()["record_id"])
    check = Database(url)
    assert sorted(kept(check)) == sorted(ids)
    check.close()


def test_a_record_is_answered_only_once_it_is_kept(settings: Settings) -> None:
    seen: list[Record] = []

    class Watching(RecordStore):
        def keep(self, made: object) -> Record:
            record = super().keep(made)
            seen.append(record)
            return record

    with TestClient(create_app(settings, make_store=lambda each: Watching(each.store_url))) as client:
        answer = client.post("/v1/screen", files=picture()).json()
        assert [each.record_id for each in seen] == [answer["record_id"]]
