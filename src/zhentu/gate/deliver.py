"""Deliver the outbox: signed as the Standard Webhooks specification says, through the guarded way out."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook

from zhentu.errors import ConfigError, FetchError
from zhentu.gate.metrics import GateMetrics
from zhentu.intake.fetch import Outbound
from zhentu.record.outbox import Message, MessageState, Outbox

_log = logging.getLogger("zhentu.gate")


class Deliverer:
    """Sends due messages one by one. Raises ConfigError when the secret is not base64 (`whsec_...`)."""

    def __init__(self, outbox: Outbox, outbound: Outbound, secret: str | None, metrics: GateMetrics) -> None:
        self.outbox, self._outbound, self._metrics = outbox, outbound, metrics
        try:
            self._signer = Webhook(secret) if secret else None
        except Exception as error:  # base64's own error, or the library's
            raise ConfigError("settings", ["webhook_secret: must be whsec_ and base64 of 24 to 64 bytes"]) from error

    async def turn(self) -> bool:
        """Deliver one message; True when there may be more."""
        message = await asyncio.to_thread(self.outbox.take)
        if message is None:
            return False
        reason = await self._post(message)
        if not reason:
            await asyncio.to_thread(self.outbox.delivered, message)
            self._metrics.deliveries.labels("delivered").inc()
            return True
        state = await asyncio.to_thread(self.outbox.failed, message, reason)
        self._metrics.deliveries.labels("dead" if state is MessageState.DEAD else "failed").inc()
        _log.warning("webhook %s not delivered: %s", message.message_id, reason)
        return True

    async def _post(self, message: Message) -> str:
        """Send one message; empty when the receiver took it, else why not."""
        if self._signer is None:
            return "there is no secret to sign with; set ZHENTU_WEBHOOK_SECRET"
        moment = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "zhentu",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": self._signer.sign(message.message_id, moment, message.body),
        }
        try:
            status = await self._outbound.post(message.url, message.body.encode(), headers)
        except FetchError as error:
            return str(error)
        return "" if 200 <= status < 300 else f"the receiver answered {status}"
