"""Messages to the platform: written in the same transaction as what they report, delivered afterwards, never lost.

Delivery is at least once; receivers recognise a repeated message by its `webhook-id`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import uuid_utils
from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from zhentu.errors import NotFound
from zhentu.record.database import Database, aware, now
from zhentu.record.schema import outbox
from zhentu.types import DEFAULT_TENANT, MessageState

BACK_OFF_S = (
    5,
    30,
    120,
    600,
    3600,
    3 * 3600,
    10 * 3600,
    24 * 3600,
)  # Standard Webhooks' example schedule, about 2 days


_MOST_LANES = 200  # names that one query may exclude


@dataclass(frozen=True, slots=True)
class Message:
    """One message. kind: e.g. "picture.screened".  body: the JSON text that is signed and sent.

    owner: on whose behalf it is sent, e.g. a key; empty for the gate's own webhook.  tenant: whose rows it reports.
    """

    kind: str
    url: str
    body: str
    message_id: str = ""
    state: MessageState = MessageState.PENDING
    attempts: int = 0
    created_at: datetime | None = None
    last_error: str = ""
    owner: str = ""
    tenant: str = DEFAULT_TENANT

    @property
    def host(self) -> str:
        """Its destination as "host:port"; empty if the URL is invalid."""
        try:
            parts = urlsplit(self.url)
            return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        except ValueError:
            return ""


def envelope(kind: str, data: Mapping[str, Any], tenant: str) -> str:
    """The body of every message, shaped as the Standard Webhooks specification proposes: type, timestamp, data.

    tenant: whose picture it is; the gate's own webhook reports every tenant's pictures.
    """
    moment = datetime.now(UTC).isoformat()
    return json.dumps({"type": kind, "timestamp": moment, "tenant": tenant, "data": dict(data)}, ensure_ascii=False)


def new_message(kind: str, url: str, body: str, owner: str = "", tenant: str = DEFAULT_TENANT) -> Message:
    """A message that is not written yet."""
    message_id = f"msg_{uuid_utils.uuid7().hex}"
    return Message(kind, url, body, message_id, created_at=now(), owner=owner, tenant=tenant)


def write_messages(connection: Connection, messages: Sequence[Message]) -> None:
    """Write messages within the caller's transaction."""
    if messages:
        connection.execute(
            insert(outbox),
            [
                {
                    "message_id": each.message_id,
                    "kind": each.kind,
                    "url": each.url,
                    "body": each.body,
                    "state": MessageState.PENDING.value,
                    "attempts": 0,
                    "created_at": each.created_at or now(),
                    "due_at": now(),
                    "last_error": "",
                    "owner": each.owner,
                    "host": each.host,
                    "tenant": each.tenant,
                }
                for each in messages
            ],
        )


class Outbox:
    """The table of messages; several gates may deliver from it at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, messages: Sequence[Message]) -> None:
        """Write messages in a transaction of their own."""
        with self._database.begin() as connection:
            write_messages(connection, messages)

    def take(
        self, lease_s: float = 60.0, owners: Sequence[str] = (), lanes: Sequence[tuple[str, str]] = ()
    ) -> Message | None:
        """Lease the next due message for `lease_s` seconds; if the deliverer dies, another one gets it.

        owners, lanes: owners, and owners at certain hosts, whose messages are left out for now.
        """
        due = and_(
            outbox.c.state.in_([MessageState.PENDING.value, MessageState.SENDING.value]),
            outbox.c.due_at <= now(),
            outbox.c.owner.not_in(owners),
            *(or_(outbox.c.owner != owner, outbox.c.host != host) for owner, host in lanes[:_MOST_LANES]),
        )
        with self._database.begin() as connection:
            row = connection.execute(select(outbox).where(due).order_by(outbox.c.due_at).limit(1)).first()
            if row is None:
                return None
            mine = connection.execute(
                update(outbox)
                .where(outbox.c.message_id == row.message_id, outbox.c.due_at == row.due_at, due)
                .values(
                    state=MessageState.SENDING.value,
                    due_at=now() + timedelta(seconds=lease_s),
                    attempts=outbox.c.attempts + 1,
                )
            )
            return _message(row) if mine.rowcount else None

    def delivered(self, message: Message) -> None:
        """Note that the receiver took it."""
        self._set(message.message_id, state=MessageState.DELIVERED.value, delivered_at=now(), last_error="")

    def failed(self, message: Message, reason: str) -> MessageState:
        """Note a failed attempt: try again later, or give up after the last step of the schedule."""
        if message.attempts >= len(BACK_OFF_S):
            self._set(message.message_id, state=MessageState.DEAD.value, last_error=reason[:300])
            return MessageState.DEAD
        due = now() + timedelta(seconds=BACK_OFF_S[message.attempts])
        self._set(message.message_id, state=MessageState.PENDING.value, due_at=due, last_error=reason[:300])
        return MessageState.PENDING

    def replay(self, message_id: str | None = None) -> int:
        """Queue one message again, whatever its state, or every dead one; returns how many. Raises NotFound."""
        wanted = outbox.c.state == MessageState.DEAD.value if message_id is None else outbox.c.message_id == message_id
        with self._database.begin() as connection:
            done = connection.execute(
                update(outbox)
                .where(wanted)
                .values(state=MessageState.PENDING.value, due_at=now(), attempts=0, delivered_at=None)
            )
        if message_id is not None and not done.rowcount:
            raise NotFound(f"no message {message_id!r}; see `zhentu webhooks list`")
        return int(done.rowcount)

    def list(self, state: MessageState | None = None, limit: int = 100) -> tuple[Message, ...]:
        """The newest messages, all or of one state."""
        query = select(outbox).order_by(outbox.c.created_at.desc()).limit(limit)
        if state is not None:
            query = query.where(outbox.c.state == state.value)
        with self._database.begin() as connection:
            return tuple(_message(row) for row in connection.execute(query))

    def waiting(self) -> int:
        """How many messages are neither delivered nor dead."""
        open_states = [MessageState.PENDING.value, MessageState.SENDING.value]
        with self._database.begin() as connection:
            query = select(func.count()).where(or_(*(outbox.c.state == each for each in open_states)))
            return int(connection.execute(query).scalar() or 0)

    def _set(self, message_id: str, **values: object) -> None:
        with self._database.begin() as connection:
            connection.execute(update(outbox).where(outbox.c.message_id == message_id).values(**values))


def _message(row: Row[tuple[object, ...]]) -> Message:
    return Message(
        kind=row.kind,
        url=row.url,
        body=row.body,
        message_id=row.message_id,
        state=MessageState(row.state),
        attempts=row.attempts,
        created_at=aware(row.created_at),
        last_error=row.last_error,
        owner=row.owner,
        tenant=row.tenant,
    )
