"""The table of backlog jobs: what was scanned, how far each has got, and its outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Column, DateTime, Integer, Row, String, Table, Text, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from zhentu.errors import RecordNotFound
from zhentu.record.database import Database, aware, now
from zhentu.record.schema import metadata

scan_jobs = Table(
    "scan_jobs",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("state", String(12), nullable=False),
    Column("folder", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("sources", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False, index=True),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("counts", Text, nullable=False),
    Column("skipped", Text, nullable=False, server_default="{}"),
    Column("reasons", Text, nullable=False, server_default="{}"),
    Column("error", Text, nullable=False),
)


class JobState(StrEnum):
    """The state of a job. `running` may also mean killed: the lock in its folder tells which."""

    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class JobCounts:
    """A job's progress in numbers.

    actions: pictures per action, "error" and "known".  skipped: what the listing did not take, per reason.  reasons:
    pictures per code of a reason.
    """

    total: int = 0
    done: int = 0
    actions: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job. counts, skipped, reasons: see JobCounts.  error: why it failed, "" otherwise."""

    job_id: str
    folder: str
    host: str
    sources: tuple[str, ...]
    model: str
    policy_version: str
    started_at: datetime
    state: JobState = JobState.RUNNING
    updated_at: datetime | None = None
    total: int = 0
    done: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


class JobTable:
    """Jobs of one store; safe to use from several processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, job: JobRecord) -> None:
        """Add a new job, or note that one continues."""
        values = {
            "state": JobState.RUNNING.value,
            "folder": job.folder,
            "host": job.host,
            "sources": json.dumps(job.sources, ensure_ascii=False),
            "model": job.model,
            "policy_version": job.policy_version,
            "updated_at": now(),
            "error": "",
        }
        first = {"job_id": job.job_id, "started_at": job.started_at, **_numbers(JobCounts())}
        try:
            with self._database.begin() as connection:
                connection.execute(insert(scan_jobs).values(values | first))
        except IntegrityError:
            with self._database.begin() as connection:
                connection.execute(update(scan_jobs).where(scan_jobs.c.job_id == job.job_id).values(values))

    def report(self, job_id: str, state: JobState, counts: JobCounts, error: str = "") -> None:
        """Update a job's progress."""
        values = {"state": state.value, "updated_at": now(), "error": error, **_numbers(counts)}
        with self._database.begin() as connection:
            connection.execute(update(scan_jobs).where(scan_jobs.c.job_id == job_id).values(values))

    def newest(self, most: int = 100) -> list[JobRecord]:
        """Jobs, the newest first."""
        query = select(scan_jobs).order_by(scan_jobs.c.started_at.desc(), scan_jobs.c.job_id.desc()).limit(most)
        with self._database.begin() as connection:
            return [_job(row) for row in connection.execute(query)]

    def get(self, job_id: str) -> JobRecord:
        """The job whose identifier begins with `job_id`. Raises RecordNotFound for none or several."""
        query = select(scan_jobs).where(scan_jobs.c.job_id.startswith(job_id, autoescape=True)).limit(2)
        with self._database.begin() as connection:
            found = [_job(row) for row in connection.execute(query)]
        if len(found) != 1 or not job_id:
            what = "several jobs" if found else "no job"
            raise RecordNotFound(f"{what} {job_id!r} in the store; `zhentu jobs` lists them")
        return found[0]

    def remove(self, job_id: str) -> None:
        """Delete a job; its records stay."""
        with self._database.begin() as connection:
            connection.execute(delete(scan_jobs).where(scan_jobs.c.job_id == job_id))


def _numbers(counts: JobCounts) -> dict[str, object]:
    return {
        "total": counts.total,
        "done": counts.done,
        "counts": json.dumps(dict(counts.actions)),
        "skipped": json.dumps(dict(counts.skipped)),
        "reasons": json.dumps(dict(counts.reasons)),
    }


def _job(row: Row[tuple[object, ...]]) -> JobRecord:
    return JobRecord(
        job_id=row.job_id,
        folder=row.folder,
        host=row.host,
        sources=tuple(json.loads(row.sources)),
        model=row.model,
        policy_version=row.policy_version,
        started_at=aware(row.started_at),
        state=JobState(row.state),
        updated_at=aware(row.updated_at),
        total=row.total,
        done=row.done,
        counts=json.loads(row.counts),
        skipped=json.loads(row.skipped),
        reasons=json.loads(row.reasons),
        error=row.error,
    )
