"""Deliver the outbox: signed as the Standard Webhooks specification says, sent through the guarded outbound client.

Messages are sent concurrently. A receiver that hangs or fails delays its own messages and nobody else's.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections import Counter
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook

from zhentu.errors import ConfigError, DependencyError, FetchError
from zhentu.gate.metrics import GateMetrics
from zhentu.intake.fetch import Outbound
from zhentu.intake.lanes import Breakers, LaneLimits
from zhentu.record.outbox import Message, Outbox
from zhentu.types import MessageState

_LIMITS = LaneLimits(total=32, per_host=4, per_owner=8)
_TICK_S = 0.5
_log = logging.getLogger("zhentu.gate")


class Deliverer:
    """Sends due messages, several at once. Raises ConfigError if the secret is not base64 of 24 to 64 bytes."""

    def __init__(
        self,
        outbox: Outbox,
        outbound: Outbound,
        secret: str | None,
        metrics: GateMetrics,
        limits: LaneLimits = _LIMITS,
    ) -> None:
        self.outbox, self._outbound, self._metrics, self._limits = outbox, outbound, metrics, limits
        self._breakers = Breakers()
        self._under_way: dict[asyncio.Task[None], Message] = {}
        self._settled = asyncio.Event()
        self._signer = _signer(secret) if secret else None

    async def turn(self) -> bool:
        """Start sending one more message; True when there may be another."""
        self._settled.clear()
        if len(self._under_way) < self._limits.total:
            owners, lanes = self._busy()
            message = await asyncio.to_thread(self.outbox.take, owners=owners, lanes=lanes)
            if message is not None:
                task = asyncio.create_task(self._send(message))
                self._under_way[task] = message
                task.add_done_callback(self._done)
                return True
        if not self._under_way:
            return False
        with contextlib.suppress(TimeoutError):  # a free place is used at once
            await asyncio.wait_for(self._settled.wait(), _TICK_S)
        return True

    async def stop(self) -> None:
        """Cancel the messages in progress; the next gate sends them again."""
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _busy(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Owners, and owners' hosts, that are at their limit or whose circuit breaker is open."""
        owners = Counter(each.owner for each in self._under_way.values() if each.owner)
        lanes = Counter((each.owner, each.host) for each in self._under_way.values())
        full = [lane for lane, count in lanes.items() if count >= self._limits.per_host]
        return (
            [owner for owner, count in owners.items() if count >= self._limits.per_owner],
            list(dict.fromkeys([*full, *self._breakers.resting()])),
        )

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._settled.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease expires, and it is sent again.
            _log.log(logging.WARNING if isinstance(error, DependencyError) else logging.ERROR, "%s", error)

    async def _send(self, message: Message) -> None:
        reason = await self._post(message)
        if not reason:
            self._breakers.succeeded(message.owner, message.host)
            await asyncio.to_thread(self.outbox.delivered, message)
            self._metrics.deliveries.labels("delivered").inc()
            return
        self._breakers.failed(message.owner, message.host)
        state = await asyncio.to_thread(self.outbox.failed, message, reason)
        self._metrics.deliveries.labels("dead" if state is MessageState.DEAD else "failed").inc()
        _log.warning("webhook %s not delivered: %s", message.message_id, reason)

    async def _post(self, message: Message) -> str:
        """Send one message; returns "" if the receiver took it, otherwise why not."""
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
            status = await self._outbound.post(message.url, message.body.encode(), headers, message.owner)
        except FetchError as error:
            return str(error)
        return "" if 200 <= status < 300 else f"the receiver answered {status}"


def _signer(secret: str) -> Webhook:
    """What signs with this secret; the prefix may be left out, as `openssl rand -base64 32` does.

    The library takes a secret of any length and skips what is not base64, so a password would sign weakly.
    """
    text = secret.strip().removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if not 24 <= len(key) <= 64:
        raise ConfigError("settings", ["webhook.secret: must be whsec_ and base64 of 24 to 64 bytes"])
    return Webhook(key)
