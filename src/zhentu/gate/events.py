"""What the platform is told by webhook, in the API's own terms."""

from __future__ import annotations

from zhentu.gate.schemas import answer_of
from zhentu.record.outbox import Message, envelope, new_message
from zhentu.settings import Settings
from zhentu.types import Record

SCREENED = "picture.screened"
JOB_FINISHED = "job.finished"


def screened_message(record: Record, settings: Settings) -> tuple[Message, ...]:
    """The message about a decision; None if no receiver is set or the settings leave this action out."""
    if settings.webhook.url is None or record.decision.applied not in settings.webhook.actions:
        return ()
    body = envelope(SCREENED, answer_of(record).model_dump(mode="json"), record.tenant)
    return (new_message(SCREENED, settings.webhook.url, body, tenant=record.tenant),)
