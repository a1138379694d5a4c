"""Records, appended and never changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.exc import IntegrityError

from zhentu.errors import IdempotencyConflict, RecordNotFound, StoreError
from zhentu.record.codec import decode_record, encode_record
from zhentu.record.database import Database
from zhentu.record.job_store import Job, write_job
from zhentu.record.outbox import Message, write_messages
from zhentu.record.schema import claims, records
from zhentu.types import Action, Record, Verdict

# Built once: every request runs them, and building them costs as much as running them.
_ANSWERED = (
    select(claims.c.claim, claims.c.request_sha256, records.c.body)
    .join(records, records.c.record_id == claims.c.record_id)
    .where(claims.c.claim.in_(bindparam("claims", expanding=True)))
)
_VERDICT = (
    select(records.c.body)
    .where(records.c.picture_sha256 == bindparam("sha256"), records.c.model_sha256 == bindparam("model"))
    .order_by(records.c.record_id.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What makes two requests the same. claim: 64 hex digits, of an Idempotency-Key or of a request's content.

    request_sha256: the content asked for; a claim that was made for other content is a conflict.
    """

    claim: str
    request_sha256: str


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """A record and what must be written together with it. deferred: the picture, if it is screened later."""

    record: Record
    claims: tuple[Claim, ...] = ()
    messages: tuple[Message, ...] = ()
    deferred: Job | None = None


class RecordStore:
    """Append-only store of records; safe to use from several threads and processes.

    at: the store's URL, or an open Database that other tables share. Raises StoreError if it cannot be opened.
    """

    def __init__(self, at: str | Database) -> None:
        self.database = at if isinstance(at, Database) else Database(at)

    def append(self, record: Record) -> None:
        """Write one record durably. Raises StoreError."""
        self.append_many([record])

    def append_many(self, batch: Iterable[Record]) -> None:
        """Write a batch in one transaction: all or none. Raises StoreError, also for an identifier that is there."""
        rows = [row_of(record) for record in batch]
        if not rows:
            return
        try:
            with self.database.begin() as connection:
                connection.execute(insert(records), rows)
        except IntegrityError as error:
            raise StoreError(
                "a record with this identifier is already in the store; records are append-only"
            ) from error

    def keep(self, write: RecordWrite) -> Record:
        """Write a record and everything that belongs to it once, in one transaction.

        Returns the record that answers the request: this one, or the earlier one if another request came first.
        Raises IdempotencyConflict if a claim was made for another request.
        """
        try:
            with self.database.begin() as connection:
                if write.claims:
                    connection.execute(insert(claims), [_claim_row(each, write.record) for each in write.claims])
                connection.execute(insert(records), row_of(write.record))
                write_messages(connection, write.messages)
                if write.deferred is not None:
                    write_job(connection, write.deferred)
        except IntegrityError as error:
            earlier = self.answered(write.claims)
            if earlier is None:
                raise StoreError(
                    "a record with this identifier is already in the store; records are append-only"
                ) from error
            return earlier
        return write.record

    def keep_late(self, write: RecordWrite) -> None:
        """Write what was answered while the store was down. Writing it twice, or after another claim, is harmless."""
        with self.database.begin() as connection:
            found = connection.execute(select(records.c.record_id).where(records.c.record_id == write.record.record_id))
            if found.first() is not None:
                return
            made = [each.claim for each in write.claims]
            taken = set(connection.execute(select(claims.c.claim).where(claims.c.claim.in_(made))).scalars())
            rows = [_claim_row(each, write.record) for each in write.claims if each.claim not in taken]
            if rows:
                connection.execute(insert(claims), rows)
            connection.execute(insert(records), row_of(write.record))
            write_messages(connection, write.messages)
            if write.deferred is not None:
                write_job(connection, write.deferred)

    def answered(self, made: Sequence[Claim]) -> Record | None:
        """The record that answered this request before; the first of `made` that is known wins.

        Raises IdempotencyConflict if any of them was made for other content; see `Claim`.
        """
        if not made:
            return None
        with self.database.begin() as connection:
            rows = connection.execute(_ANSWERED, {"claims": [each.claim for each in made]})
            found = {row.claim: row for row in rows}
        asked = {each.claim: each.request_sha256 for each in made}
        for claim, row in found.items():
            if row.request_sha256 != asked[claim]:
                raise IdempotencyConflict("this Idempotency-Key was used for another request; use a new key")
        if not found:
            return None
        record = decode_record(next(found[each.claim] for each in made if each.claim in found).body)
        missing = [each for each in made if each.claim not in found]
        if missing:  # a new key for a request that was already answered: from now on it names that request
            with contextlib.suppress(IntegrityError), self.database.begin() as connection:
                connection.execute(insert(claims), [_claim_row(each, record) for each in missing])
        return record

    def verdict_for(self, sha256: str, model_sha256: str, tenant: str) -> tuple[str, Verdict] | None:
        """Record id and verdict of the newest screening of these bytes by this model, None if there is none.

        Scores are the same whoever sent the bytes; the record id is empty if the record is another tenant's.
        """
        with self.database.begin() as connection:
            body = connection.execute(_VERDICT, {"sha256": sha256, "model": model_sha256}).scalar()
        if body is None:
            return None
        record = decode_record(body)
        if record.verdict is None:
            return None
        return (record.record_id if record.tenant == tenant else "", record.verdict)

    def get(self, record_id: str, tenant: str | None = None) -> Record:
        """The record with this identifier, limited to a tenant if one is given. Raises RecordNotFound."""
        query = select(records.c.body).where(records.c.record_id == record_id)
        if tenant is not None:
            query = query.where(records.c.tenant == tenant)
        with self.database.begin() as connection:
            body = connection.execute(query).scalar()
        if body is None:
            raise RecordNotFound(f"no record {record_id!r} in the store")
        return decode_record(body)

    def latest_verdicts(self, model_sha256: str, limit: int) -> tuple[Verdict, ...]:
        """The newest verdicts of a model, newest first."""
        query = select(records.c.body).where(records.c.model_sha256 == model_sha256)
        with self.database.begin() as connection:
            bodies = connection.execute(query.order_by(records.c.record_id.desc()).limit(limit)).scalars().all()
        verdicts = [decode_record(body).verdict for body in bodies]
        return tuple(each for each in verdicts if each is not None)

    def counts_by_action(self) -> Mapping[Action, int]:
        """How many records asked for each action."""
        query = select(records.c.action, func.count()).group_by(records.c.action)
        with self.database.begin() as connection:
            found = {Action(action): int(count) for action, count in connection.execute(query)}
        return {action: found.get(action, 0) for action in Action}

    def check(self) -> None:
        """Raise StoreError unless the store answers and can be written."""
        self.database.check()

    def close(self) -> None:
        """Close the connections."""
        self.database.close()


def _claim_row(claim: Claim, record: Record) -> dict[str, object]:
    return {
        "claim": claim.claim,
        "request_sha256": claim.request_sha256,
        "record_id": record.record_id,
        "created_at": record.created_at,
    }


def row_of(record: Record) -> dict[str, object]:
    """The columns of a record, for insert(records)."""
    verdict = record.verdict
    return {
        "record_id": record.record_id,
        "created_at": record.created_at,
        "picture_sha256": record.picture_sha256,
        "path": record.path,
        "listing_id": record.listing.listing_id,
        "seller_id": record.listing.seller_id,
        "goods": record.listing.goods,
        "action": record.decision.action.value,
        "applied": record.decision.applied.value,
        "mode": record.decision.mode.value,
        "model": str(verdict.model) if verdict else "",
        "model_sha256": verdict.model.sha256 if verdict else "",
        "policy_version": record.decision.policy_version,
        "policy_sha256": record.decision.policy_sha256,
        "forged": verdict.scores.forged if verdict else None,
        "latency_ms": record.latency_ms,
        "body": encode_record(record),
        "tenant": record.tenant,
    }
