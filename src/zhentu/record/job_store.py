"""Pictures to be screened later: asynchronous jobs, and pictures that were let through while the gate was in trouble.

Their bytes are kept until they are screened and no longer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from pydantic import ConfigDict, TypeAdapter, ValidationError
from sqlalchemy import Connection, and_, func, insert, select, update

from zhentu.errors import NotFound
from zhentu.ids import new_id
from zhentu.record.database import Database, aware, now
from zhentu.record.outbox import Message, write_messages
from zhentu.record.schema import job_pictures, jobs
from zhentu.types import DEFAULT_TENANT, Listing

_log = logging.getLogger(__name__)


class JobKind(StrEnum):
    """Why pictures wait. deferred: they were allowed while the gate was in trouble."""

    JOB = "job"
    DEFERRED = "deferred"


class ItemState(StrEnum):
    """The state of one picture of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One picture to be screened: its bytes, or a URL to fetch. note: why it waits; it becomes evidence."""

    __pydantic_config__ = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    name: str
    listing: Listing
    payload: bytes | None = None
    url: str = ""
    references: tuple[bytes, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """Pictures that belong together, not written yet. owner: the key that asked.  tenant: whose job it is."""

    job_id: str
    kind: JobKind
    callback_url: str
    items: tuple[JobRequest, ...]
    owner: str = ""
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class JobTask:
    """One picture taken for work; `attempts` counts this one too."""

    job_id: str
    kind: JobKind
    position: int
    attempts: int
    request: JobRequest
    owner: str = ""
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class ItemStatus:
    """The outcome for one picture: a record, or an error's code and message."""

    position: int
    state: ItemState
    record_id: str | None
    error_code: str
    error_detail: str


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What has become of a job so far."""

    job_id: str
    kind: JobKind
    callback_url: str
    created_at: datetime
    finished_at: datetime | None
    items: tuple[ItemStatus, ...]
    owner: str = ""
    tenant: str = DEFAULT_TENANT


def new_job(
    kind: JobKind,
    items: Sequence[JobRequest],
    callback_url: str = "",
    owner: str = "",
    tenant: str = DEFAULT_TENANT,
) -> Job:
    """A job that is not written yet."""
    return Job(new_id(), kind, callback_url, tuple(items), owner, tenant)


def write_job(connection: Connection, job: Job) -> None:
    """Write a job within the caller's transaction."""
    connection.execute(
        insert(jobs).values(
            job_id=job.job_id,
            kind=job.kind.value,
            callback_url=job.callback_url,
            created_at=now(),
            owner=job.owner,
            tenant=job.tenant,
        )
    )
    connection.execute(
        insert(job_pictures),
        [
            {
                "job_id": job.job_id,
                "position": position,
                "state": ItemState.QUEUED.value,
                "due_at": now(),
                "attempts": 0,
                "request": encode_request(replace(each, payload=None)),
                "payload": each.payload,
                "error_code": "",
                "error_detail": "",
            }
            for position, each in enumerate(job.items)
        ],
    )


class JobStore:
    """The tables of jobs; several gates may work from them at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, job: Job) -> None:
        """Write a job in a transaction of its own."""
        with self._database.begin() as connection:
            write_job(connection, job)

    def take(self, lease_s: float, owners: Sequence[str] = ()) -> JobTask | None:
        """Lease the next due picture for `lease_s` seconds; if the worker dies, another one gets it.

        owners: keys whose pictures are left out for now.
        """
        table = job_pictures
        due = and_(table.c.state.in_([ItemState.QUEUED.value, ItemState.RUNNING.value]), table.c.due_at <= now())
        with self._database.begin() as connection:
            query = select(table, jobs.c.kind, jobs.c.owner, jobs.c.tenant).join(jobs, jobs.c.job_id == table.c.job_id)
            query = query.where(jobs.c.owner.not_in(owners))
            row = connection.execute(query.where(due).order_by(table.c.due_at).limit(1)).first()
            if row is None:
                return None
            this = and_(table.c.job_id == row.job_id, table.c.position == row.position, table.c.due_at == row.due_at)
            mine = connection.execute(
                update(table)
                .where(this, due)
                .values(
                    state=ItemState.RUNNING.value,
                    attempts=table.c.attempts + 1,
                    due_at=now() + timedelta(seconds=lease_s),
                )
            )
        if not mine.rowcount:
            return None
        empty = JobRequest("", Listing())
        task = JobTask(row.job_id, JobKind(row.kind), row.position, row.attempts + 1, empty, row.owner, row.tenant)
        try:
            request = replace(decode_request(row.request), payload=row.payload)
        except ValidationError as error:  # an unreadable row must not hold up the others
            _log.error("job %s, picture %d cannot be read: %s", row.job_id, row.position, error)
            self.failed(task, "job_unreadable", "the request cannot be read; send the picture again")
            return None
        return replace(task, request=request)

    def done(self, task: JobTask, record_id: str) -> None:
        """The picture has its record; its bytes and its references' are deleted."""
        emptied = _without_bytes(task.request)
        self._settle(task, state=ItemState.DONE.value, record_id=record_id, payload=None, request=emptied)

    def failed(self, task: JobTask, code: str, detail: str) -> None:
        """The picture can never be screened; its bytes and its references' are deleted."""
        emptied = _without_bytes(task.request)
        failed = {"state": ItemState.FAILED.value, "error_code": code, "error_detail": detail[:500]}
        self._settle(task, **failed, payload=None, request=emptied)

    def later(self, task: JobTask, seconds: float) -> None:
        """The gate is still in trouble: try again."""
        self._settle(task, state=ItemState.QUEUED.value, due_at=now() + timedelta(seconds=seconds))

    def finish(self, job_id: str, message: Message | None) -> bool:
        """Close a job whose pictures are all settled, and write its callback; True for the caller that closed it."""
        with self._database.begin() as connection:
            still_open = select(func.count()).where(
                job_pictures.c.job_id == job_id,
                job_pictures.c.state.in_([ItemState.QUEUED.value, ItemState.RUNNING.value]),
            )
            if connection.execute(still_open).scalar():
                return False
            mine = connection.execute(
                update(jobs).where(jobs.c.job_id == job_id, jobs.c.finished_at.is_(None)).values(finished_at=now())
            )
            if mine.rowcount and message is not None:
                write_messages(connection, [message])
            return bool(mine.rowcount)

    def status(self, job_id: str, tenant: str | None = None) -> JobStatus:
        """The status of a job, limited to a tenant if one is given. Raises NotFound."""
        wanted = select(jobs).where(jobs.c.job_id == job_id)
        if tenant is not None:
            wanted = wanted.where(jobs.c.tenant == tenant)
        with self._database.begin() as connection:
            job = connection.execute(wanted).first()
            query = select(job_pictures).where(job_pictures.c.job_id == job_id).order_by(job_pictures.c.position)
            rows = connection.execute(query).all()
        if job is None:
            raise NotFound(f"no job {job_id!r}")
        items = tuple(
            ItemStatus(row.position, ItemState(row.state), row.record_id, row.error_code, row.error_detail)
            for row in rows
        )
        finished = aware(job.finished_at) if job.finished_at else None
        made = aware(job.created_at)
        return JobStatus(job_id, JobKind(job.kind), job.callback_url, made, finished, items, job.owner, job.tenant)

    def waiting(self) -> int:
        """How many pictures are waiting."""
        states = [ItemState.QUEUED.value, ItemState.RUNNING.value]
        with self._database.begin() as connection:
            query = select(func.count()).where(job_pictures.c.state.in_(states))
            return int(connection.execute(query).scalar() or 0)

    def _settle(self, task: JobTask, **values: object) -> None:
        with self._database.begin() as connection:
            connection.execute(
                update(job_pictures)
                .where(job_pictures.c.job_id == task.job_id, job_pictures.c.position == task.position)
                .values(**values)
            )


def _without_bytes(request: JobRequest) -> str:
    return encode_request(replace(request, payload=None, references=()))


def encode_request(request: JobRequest) -> str:
    """One JSON object; bytes in base64."""
    return _adapter().dump_json(request).decode()


def decode_request(text: str) -> JobRequest:
    """The request in a text."""
    return _adapter().validate_json(text)


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[JobRequest]:
    return TypeAdapter(JobRequest)
