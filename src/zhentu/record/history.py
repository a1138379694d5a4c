"""Which model is in force, as rows that are only ever added: a rollback is one more row, and every gate follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from zhentu.errors import UsageError
from zhentu.ids import new_id
from zhentu.record.database import Database, aware, now
from zhentu.record.schema import in_force

_MODEL = "model"


@dataclass(frozen=True, slots=True)
class Change:
    """A model ("name@version") and since when it is in force."""

    name: str
    changed_at: datetime


class ModelHistory:
    """The choice of model, shared by all gates of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def use(self, name: str) -> None:
        """Put a model in force."""
        with self._database.begin() as connection:
            connection.execute(insert(in_force).values(change_id=new_id(), kind=_MODEL, name=name, changed_at=now()))

    def current(self) -> str | None:
        """The model in force, None if nobody has chosen one."""
        changes = self.changes(1)
        return changes[0].name if changes else None

    def changes(self, limit: int = 20) -> tuple[Change, ...]:
        """Newest first."""
        query = select(in_force).where(in_force.c.kind == _MODEL).order_by(in_force.c.change_id.desc()).limit(limit)
        with self._database.begin() as connection:
            return tuple(Change(row.name, aware(row.changed_at)) for row in connection.execute(query))

    def previous(self) -> str:
        """The model that was in force before the present one; empty = the settings' own. Raises UsageError."""
        changes = self.changes(1000)
        if not changes:
            raise UsageError("no model was chosen before; choose one with `zhentu model use NAME@VERSION`")
        return next((each.name for each in changes if each.name != changes[0].name), "")
