"""What the platform is told by webhook, in the API's own terms."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from pydantic import BaseModel

from zhentu.gate.schemas import answer_of
from zhentu.record.outbox import Message, new_message
from zhentu.settings import Settings
from zhentu.types import Record

SCREENED = "picture.screened"
JOB_FINISHED = "job.finished"


def screened_message(record: Record, settings: Settings) -> tuple[Message, ...]:
    """The message about a decision; None if no receiver is set or the settings leave this action out."""
    if settings.webhook.url is None or record.decision.applied not in settings.webhook.actions:
        return ()
    return (
        new_message(
            SCREENED, settings.webhook.url, envelope(SCREENED, answer_of(record), record.tenant), tenant=record.tenant
        ),
    )


def envelope(kind: str, content: BaseModel, tenant: str) -> str:
    """The body of a message, shaped as the Standard Webhooks specification proposes: type, timestamp, data.

    tenant: whose picture it is; the gate's own webhook reports every tenant's pictures.
    """
    moment = datetime.now(UTC).isoformat()
    return json.dumps(
        {"type": kind, "timestamp": moment, "tenant": tenant, "data": content.model_dump(mode="json")},
        ensure_ascii=False,
    )
