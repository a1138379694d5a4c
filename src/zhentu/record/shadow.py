"""What a shadow model says about the same pictures, and where it disagrees with the one in force."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import func, insert, select

from zhentu.record.database import Database, now
from zhentu.record.schema import shadow_verdicts
from zhentu.types import Action, Verdict


@dataclass(frozen=True, slots=True)
class ShadowAgreement:
    """How often a shadow model and the active one would act differently."""

    model: str
    compared: int
    disagreed: int


class ShadowStore:
    """The table of shadow verdicts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, record_id: str, verdict: Verdict, active: Action, shadow: Action) -> None:
        """Write the shadow model's verdict on a recorded picture, and what the policy would have decided on it."""
        with self._database.begin() as connection:
            connection.execute(
                insert(shadow_verdicts).values(
                    record_id=record_id,
                    model=str(verdict.model),
                    created_at=now(),
                    scores=json.dumps(verdict.scores.as_dict()),
                    active_action=active.value,
                    shadow_action=shadow.value,
                    disagrees=active is not shadow,
                )
            )

    def agreements(self) -> tuple[ShadowAgreement, ...]:
        """One row per shadow model."""
        table = shadow_verdicts
        query = select(table.c.model, table.c.disagrees, func.count()).group_by(table.c.model, table.c.disagrees)
        counts: dict[str, list[int]] = {}
        with self._database.begin() as connection:
            for model, disagrees, number in connection.execute(query):
                pair = counts.setdefault(model, [0, 0])
                pair[0] += number
                pair[1] += number if disagrees else 0
        return tuple(ShadowAgreement(model, compared, differ) for model, (compared, differ) in sorted(counts.items()))
