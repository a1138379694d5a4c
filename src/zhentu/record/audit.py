"""Who saw and decided what, when, with which versions: append-only, each entry holding the hash of the one before.

Changing or deleting an entry breaks every hash after it. Cutting entries off the end leaves a valid shorter chain: keep
the last hash somewhere else (`zhentu audit verify` prints it) and give it back with `--expect`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, DateTime, Integer, String, Table, Text, insert, select, update

from zhentu.record.database import Database, aware, now
from zhentu.record.schema import metadata

GENESIS = "0" * 64
_PAGE = 1000

audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("act", String(32), nullable=False, index=True),
    Column("subject", Text, nullable=False, index=True),
    Column("facts", Text, nullable=False),  # one JSON object
    Column("previous", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
)

# One row. Its lock serialises writers, so that no two entries follow the same one.
audit_head = Table(
    "audit_head",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act. subject: what it was done to, e.g. "item:..."; facts: one JSON object as text."""

    seq: int
    at: datetime
    actor: str
    act: str
    subject: str
    facts: str
    previous: str
    sha256: str

    def as_json(self) -> str:
        """One line."""
        return json.dumps(
            asdict(self) | {"at": self.at.isoformat(), "facts": json.loads(self.facts)}, ensure_ascii=False
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """What a check of the chain found. broken_at: the first entry that does not fit, None if all do."""

    entries: int
    head: str
    broken_at: int | None
    problem: str = ""


def append(
    connection: Connection, actor: str, act: str, subject: str, facts: Mapping[str, object], at: datetime | None = None
) -> None:
    """Add one entry in the caller's transaction: the act and its entry are kept together, or neither is."""
    moved = update(audit_head).values(seq=audit_head.c.seq + 1).returning(audit_head.c.seq, audit_head.c.sha256)
    seq, previous = connection.execute(moved).one()
    at = at or now()
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True)
    digest = _digest(seq, at, actor, act, subject, text, previous)
    connection.execute(
        insert(audit).values(
            seq=seq, at=at, actor=actor, act=act, subject=subject, facts=text, previous=previous, sha256=digest
        )
    )
    connection.execute(update(audit_head).values(sha256=digest))


def entries(database: Database, subject: str = "", after: int = 0) -> Iterator[AuditEntry]:
    """Entries in order; only those of `subject` if it is given."""
    while True:
        query = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(_PAGE)
        if subject:
            query = query.where(audit.c.subject == subject)
        with database.begin() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            yield AuditEntry(
                row.seq, aware(row.at), row.actor, row.act, row.subject, row.facts, row.previous, row.sha256
            )
        if len(rows) < _PAGE:
            return
        after = rows[-1].seq


def verify(database: Database, expected_head: str = "") -> Chain:
    """Walk the whole chain and compute every hash again. expected_head: a hash that must occur in it."""
    with database.begin() as connection:  # read first, so that entries written meanwhile do no harm
        seq, head = connection.execute(select(audit_head.c.seq, audit_head.c.sha256)).one()
    previous, count, expected_seen = GENESIS, 0, not expected_head
    for each in entries(database):
        if count == seq:
            break
        count += 1
        digest = _digest(each.seq, each.at, each.actor, each.act, each.subject, each.facts, each.previous)
        if each.seq != count or each.previous != previous:
            return Chain(count - 1, previous, each.seq, f"entry {count} is missing before entry {each.seq}")
        if digest != each.sha256:
            return Chain(count - 1, previous, each.seq, f"entry {each.seq} was changed after it was written")
        previous = each.sha256
        expected_seen = expected_seen or previous == expected_head
    if (seq, head) != (count, previous):
        return Chain(
            count, previous, count + 1, f"the chain was {seq} entries long, {seq - count} are missing from its end"
        )
    if not expected_seen:
        return Chain(count, previous, count + 1, f"the expected hash {expected_head} is nowhere in the chain")
    return Chain(count, previous, None)


def _digest(seq: int, at: datetime, actor: str, act: str, subject: str, facts: str, previous: str) -> str:  # noqa: PLR0913 - an entry's columns
    # Microseconds since 1970: the same number whatever time zone or precision a database gives back.
    moment = round(aware(at).timestamp() * 1_000_000)
    text = json.dumps([seq, moment, actor, act, subject, facts, previous], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
