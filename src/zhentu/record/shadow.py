"""What a shadow model says about the same pictures, and where it disagrees with the one in force."""

from __future__ import annotations

import json

from sqlalchemy import insert

from zhentu.record.database import Database, now
from zhentu.record.schema import shadow_verdicts
from zhentu.types import Action, Verdict


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
