"""Scan jobs, shadow verdicts and the model's history as the store tells them back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes import verdict
from stored import shadowed

from zhentu.errors import RecordNotFound
from zhentu.record.database import Database
from zhentu.record.history import ModelHistory
from zhentu.record.scan_jobs import JobCounts, JobRecord, JobState, JobTable
from zhentu.record.shadow import ShadowStore
from zhentu.types import Action, ModelRef

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)
COUNTS = JobCounts(10, 4, {"allow": 3, "error": 1}, {"not_a_picture": 2}, {"nothing_found": 3})


def job(job_id: str, hours: int = 0) -> JobRecord:
    started = BEGAN + timedelta(hours=hours)
    return JobRecord(job_id, "/out", "host", ("s3://b/目录", "b.csv"), "zhentu@1", "7", started)


@pytest.fixture
def table(database: Database) -> JobTable:
    return JobTable(database)


def test_a_job_is_told_back_with_its_progress(table: JobTable) -> None:
    table.begin(job("abc"))
    fresh = table.get("abc")
    assert (fresh.state, fresh.total, fresh.counts, fresh.sources) == (
        JobState.RUNNING,
        0,
        {},
        ("s3://b/目录", "b.csv"),
    )
    table.report("abc", JobState.FAILED, COUNTS, "store_unavailable: gone")
    told = table.get("abc")
    assert (told.state, told.total, told.done, told.error) == (JobState.FAILED, 10, 4, "store_unavailable: gone")
    assert (told.counts, told.skipped, told.reasons) == (COUNTS.actions, COUNTS.skipped, COUNTS.reasons)
    assert told.updated_at >= fresh.updated_at > told.started_at == BEGAN


def test_a_job_that_goes_on_keeps_its_start_and_its_counts_and_loses_its_error(table: JobTable) -> None:
    table.begin(job("abc"))
    table.report("abc", JobState.FAILED, COUNTS, "gone")
    table.begin(replace(job("abc", hours=5), model="zhentu@2"))
    told = table.get("abc")
    assert (told.state, told.error, told.model, told.done, told.started_at) == (
        JobState.RUNNING,
        "",
        "zhentu@2",
        4,
        BEGAN,
    )


def test_only_the_job_that_is_meant_changes(table: JobTable) -> None:
    for name in ("abc", "abd"):
        table.begin(job(name))
    table.report("abc", JobState.DONE, COUNTS)
    assert (table.get("abd").state, table.get("abd").done) == (JobState.RUNNING, 0)
    table.remove("abc")
    assert [each.job_id for each in table.newest()] == ["abd"]


def test_a_job_is_found_by_the_beginning_of_its_name(table: JobTable) -> None:
    for name in ("abc", "abd", "x_z", "xyz"):
        table.begin(job(name))
    assert table.get("abc").job_id == "abc"
    assert table.get("x_").job_id == "x_z", "an underscore is no wildcard"
    with pytest.raises(RecordNotFound, match="several jobs 'ab'"):
        table.get("ab")
    for unknown in ("q", "abcd"):
        with pytest.raises(RecordNotFound, match="no job"):
            table.get(unknown)


def test_an_empty_name_is_no_job_even_if_there_is_but_one(table: JobTable) -> None:
    table.begin(job("abc"))
    with pytest.raises(RecordNotFound):
        table.get("")


def test_the_newest_jobs_come_first_and_no_more_than_asked_for(table: JobTable) -> None:
    for name, hours in (("a", 1), ("b", 3), ("c", 2), ("d", 3)):
        table.begin(job(name, hours))
    assert [each.job_id for each in table.newest()] == ["d", "b", "c", "a"]
    assert [each.job_id for each in table.newest(2)] == ["d", "b"]


def test_verdicts_of_shadow_models_are_kept_with_whether_they_disagree(database: Database) -> None:
    store = ShadowStore(database)
    assert shadowed(database) == []
    said = replace(verdict(0.5), model=ModelRef("zhentu", "2", "0" * 64))
    for number, (active, shadow) in enumerate(
        [(Action.ALLOW, Action.ALLOW), (Action.ALLOW, Action.REVIEW), (Action.LABEL, Action.LABEL)]
    ):
        store.append(f"r{number}", said, active, shadow)
    store.append("r9", replace(said, model=ModelRef("zhentu", "1", "0" * 64)), Action.ALLOW, Action.ALLOW)
    found = [("zhentu@1", False), ("zhentu@2", False), ("zhentu@2", False), ("zhentu@2", True)]
    assert shadowed(database) == found


def test_the_history_of_models_is_told_newest_first(database: Database) -> None:
    history = ModelHistory(database)
    for name in ("a@1", "b@1", "b@1"):
        history.use(name)
    assert [each.name for each in history.changes()] == ["b@1", "b@1", "a@1"]
    assert len(history.changes(1)) == 1
    assert history.previous() == "a@1", "choosing the same model again is no change"
