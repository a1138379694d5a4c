"""Deletion by policy: the only way past the trigger that keeps records append-only.

A row in `retention_pass` allows DELETE in the transaction that wrote it and in no other: it is removed again before
that transaction commits, so nobody else ever sees it. What was pruned, and how much, is kept in `retention_log`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update

from zhentu.ids import new_id
from zhentu.record.database import Database, now
from zhentu.record.job_store import ItemState
from zhentu.record.schema import (
    claims,
    job_pictures,
    jobs,
    outbox,
    records,
    retention_log,
    retention_pass,
    shadow_verdicts,
)
from zhentu.types import DEFAULT_TENANT, MessageState

_BATCH = 500  # records per transaction: pruning must not keep writers waiting


def prune_before(database: Database, moment: datetime) -> tuple[tuple[str, str], ...]:
    """Delete records of every tenant made before `moment`, and jobs and messages that ended before it.

    Returns the pictures of which their tenant has no record any more, each as tenant and sha256.
    """
    with database.begin() as connection:
        ended = select(jobs.c.job_id).where(jobs.c.finished_at < moment)
        connection.execute(delete(job_pictures).where(job_pictures.c.job_id.in_(ended)))
        connection.execute(delete(jobs).where(jobs.c.finished_at < moment))
        over = outbox.c.state.in_([MessageState.DELIVERED.value, MessageState.DEAD.value])
        connection.execute(delete(outbox).where(over, outbox.c.created_at < moment))
    return _prune(database, records.c.created_at < moment, f"before {moment.isoformat()}")


def prune_seller(database: Database, seller_id: str, tenant: str = DEFAULT_TENANT) -> tuple[tuple[str, str], ...]:
    """Delete every record of a tenant's seller (a person's right, e.g. PIPL Art. 47), and waiting pictures.

    Returns as `prune_before` does.
    """
    named = job_pictures.c.request.contains(f'"seller_id":{json.dumps(seller_id, ensure_ascii=False)}', autoescape=True)
    theirs = select(jobs.c.job_id).where(jobs.c.tenant == tenant)
    with database.begin() as connection:
        connection.execute(
            update(job_pictures)
            .where(named, job_pictures.c.state == ItemState.QUEUED.value, job_pictures.c.job_id.in_(theirs))
            .values(state=ItemState.FAILED.value, error_code="forgotten", request="{}", payload=None)
        )
    return _prune(database, _sold_by(seller_id, tenant), "one seller")


def count(
    database: Database,
    *,
    before: datetime | None = None,
    seller_id: str | None = None,
    tenant: str = DEFAULT_TENANT,
) -> int:
    """How many records a prune would delete. tenant: whose seller it is."""
    query = select(func.count()).select_from(records)
    if before is not None:
        query = query.where(records.c.created_at < before)
    if seller_id is not None:
        query = query.where(_sold_by(seller_id, tenant))
    with database.begin() as connection:
        return int(connection.execute(query).scalar() or 0)


def _sold_by(seller_id: str, tenant: str) -> ColumnElement[bool]:
    return and_(records.c.tenant == tenant, records.c.seller_id == seller_id)


def _prune(database: Database, condition: ColumnElement[bool], scope: str) -> tuple[tuple[str, str], ...]:
    pictures: set[tuple[str, str]] = set()
    total = 0
    while True:
        with database.begin() as connection:
            query = (
                select(records.c.record_id, records.c.tenant, records.c.picture_sha256).where(condition).limit(_BATCH)
            )
            found = connection.execute(query).all()
            if not found:
                break
            ids = [row.record_id for row in found]
            pictures |= {(row.tenant, row.picture_sha256) for row in found}
            total += len(ids)
            pass_id = new_id()
            connection.execute(insert(retention_pass).values(pass_id=pass_id))
            for table in (records, claims, shadow_verdicts):
                connection.execute(delete(table).where(table.c.record_id.in_(ids)))
            connection.execute(
                update(job_pictures).where(job_pictures.c.record_id.in_(ids)).values(request="{}", payload=None)
            )
            connection.execute(delete(retention_pass).where(retention_pass.c.pass_id == pass_id))
    with database.begin() as connection:
        connection.execute(
            insert(retention_log).values(prune_id=new_id(), pruned_at=now(), scope=scope, record_count=total)
        )
    return _without_record(database, sorted(pictures))


def _without_record(database: Database, pictures: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    left: set[tuple[str, str]] = set()
    with database.begin() as connection:
        for start in range(0, len(pictures), _BATCH):
            part = [sha256 for _, sha256 in pictures[start : start + _BATCH]]
            query = select(records.c.tenant, records.c.picture_sha256).where(records.c.picture_sha256.in_(part))
            left |= {(row.tenant, row.picture_sha256) for row in connection.execute(query.distinct())}
    return tuple(each for each in pictures if each not in left)
