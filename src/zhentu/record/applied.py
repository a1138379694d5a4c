"""What a backlog job's decisions led to, one row per action, so that applying can be repeated and undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Insert,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from zhentu.record.database import Database, now
from zhentu.record.outbox import Message, write_messages
from zhentu.record.schema import metadata

applied_actions = Table(
    "applied_actions",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("path", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("record_id", String(36), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("detail", Text, nullable=False),
)

_PAGE = 500


class Kind(StrEnum):
    """What is done about a picture."""

    LABEL = "label"  # a labelled copy is written
    TAKE_DOWN = "take_down"  # it is on the list of pictures to take down
    REVIEW = "review"  # people look at it
    MESSAGE = "message"  # the platform is told


class AppliedState(StrEnum):
    """How far it has got."""

    PLANNED = "planned"
    DONE = "done"
    UNDONE = "undone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Applied:
    """One action. target: where a labelled copy lies, or the URL that is told; sha256: of the copy's bytes."""

    job_id: str
    seq: int
    kind: Kind
    path: str
    target: str
    record_id: str
    state: AppliedState = AppliedState.PLANNED
    sha256: str = ""
    detail: str = ""


class AppliedTable:
    """Actions of backlog jobs; each change is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def plan(self, actions: Sequence[Applied]) -> None:
        """Add actions that are not there yet; existing ones keep their state."""
        if not actions:
            return
        rows = [
            {
                "job_id": each.job_id,
                "seq": each.seq,
                "kind": each.kind.value,
                "state": each.state.value,
                "path": each.path,
                "target": each.target,
                "sha256": each.sha256,
                "record_id": each.record_id,
                "changed_at": now(),
                "detail": each.detail,
            }
            for each in actions
        ]
        self._database.patiently(lambda: self._write(self._database.insert_missing(applied_actions), rows))

    def redirect(self, actions: Sequence[Applied]) -> None:
        """Give those of these actions that are not done their target of now; their state stays."""
        columns = applied_actions.c
        rows = [
            {"of_job": each.job_id, "of_seq": each.seq, "of_kind": each.kind.value, "to": each.target}
            for each in actions
        ]
        if not rows:
            return
        statement = (
            update(applied_actions)
            .where(
                columns.job_id == bindparam("of_job"),
                columns.seq == bindparam("of_seq"),
                columns.kind == bindparam("of_kind"),
                columns.state != AppliedState.DONE.value,
            )
            .values(target=bindparam("to"), changed_at=now())
        )
        self._database.patiently(lambda: self._write(statement, rows))

    def _write(self, statement: Insert | Update, rows: Sequence[Mapping[str, object]]) -> None:
        with self._database.begin() as connection:
            connection.execute(statement, rows)

    def each(self, job_id: str, states: Sequence[AppliedState], kind: Kind | None = None) -> Iterator[Applied]:
        """A job's actions in these states, by number; their state may be changed meanwhile."""
        columns = applied_actions.c
        seq, last = -1, ""
        while True:
            query = select(applied_actions).where(
                columns.job_id == job_id,
                columns.state.in_([state.value for state in states]),
                or_(columns.seq > seq, and_(columns.seq == seq, columns.kind > last)),
            )
            if kind is not None:
                query = query.where(columns.kind == kind.value)
            rows = self._database.patiently(partial(self._page, query.order_by(columns.seq, columns.kind)))
            yield from map(_action, rows)
            if len(rows) < _PAGE:
                return
            seq, last = rows[-1].seq, rows[-1].kind

    def copies(self) -> Iterator[Applied]:
        """The labelled copies of every job that were written and not taken back."""
        columns, job, seq = applied_actions.c, "", -1
        while True:
            query = select(applied_actions).where(
                columns.kind == Kind.LABEL.value,
                columns.state == AppliedState.DONE.value,
                or_(columns.job_id > job, and_(columns.job_id == job, columns.seq > seq)),
            )
            rows = self._database.patiently(partial(self._page, query.order_by(columns.job_id, columns.seq)))
            yield from map(_action, rows)
            if len(rows) < _PAGE:
                return
            job, seq = rows[-1].job_id, rows[-1].seq

    def _page(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self._database.begin() as connection:
            return connection.execute(query.limit(_PAGE)).all()

    def settle(
        self, action: Applied, state: AppliedState, sha256: str = "", detail: str = "", message: Message | None = None
    ) -> None:
        """Note the outcome of an action; its message enters the outbox in the same transaction, hence exactly once."""
        columns = applied_actions.c
        noted = (
            update(applied_actions)
            .where(columns.job_id == action.job_id, columns.seq == action.seq, columns.kind == action.kind.value)
            .values(state=state.value, sha256=sha256, detail=detail[:500], changed_at=now())
        )
        self._database.patiently(lambda: self._settle(noted, message))

    def _settle(self, noted: Update, message: Message | None) -> None:
        try:
            with self._database.begin() as connection:
                connection.execute(noted)
                if message:
                    write_messages(connection, [message])
        except IntegrityError:  # the message is there: it was committed, and the answer was lost with the connection
            if message is None:
                raise

    def counts(self, job_id: str) -> Mapping[tuple[Kind, AppliedState], int]:
        """How many actions of each kind are in each state."""
        found: Counter[tuple[Kind, AppliedState]] = Counter()
        for action in self.each(job_id, tuple(AppliedState)):
            found[action.kind, action.state] += 1
        return found


def _action(row: Row[Any]) -> Applied:
    kind, state = Kind(row.kind), AppliedState(row.state)
    return Applied(row.job_id, row.seq, kind, row.path, row.target, row.record_id, state, row.sha256, row.detail)
