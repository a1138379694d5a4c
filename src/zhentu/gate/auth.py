"""Who may do what: API keys with roles, a rate limit per key, and an open mode for one's own machine."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from dataclasses import dataclass

from zhentu.errors import Forbidden, RateLimited, StoreError, Unauthenticated
from zhentu.record.keys import ApiKey, KeyStore, key_id_of
from zhentu.settings import Settings
from zhentu.types import Role

_FRESH_S = 5.0  # a revoked key is refused after so many seconds at the latest
_STALE_S = 3600.0  # while the store is down, a key seen so lately still opens
_MOST = 10_000  # keys remembered, known or not
_LONGEST = 200  # characters of a token worth looking at


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. key_id is empty in open mode."""

    key_id: str
    name: str
    role: Role
    rate_per_s: float


@dataclass(slots=True)
class _Seen:
    key: ApiKey | None
    at: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Doorkeeper:
    """Checks keys and counts requests; use it from one event loop."""

    def __init__(self, keys: KeyStore, settings: Settings) -> None:
        self._keys, self._settings = keys, settings
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._buckets: dict[str, _Bucket] = {}

    async def admit(self, token: str, needed: Role) -> Caller:
        """The caller behind a token. Raises Unauthenticated, Forbidden, RateLimited; StoreError for unseen keys."""
        if self._settings.open:
            return Caller("", "open", Role.ADMIN, 0.0)
        key = await self._key(token)
        if key is None or not key.opens_with(token):
            raise Unauthenticated("an API key is needed: Authorization: Bearer zt_...; see `zhentu keys create`")
        if not key.role.includes(needed):
            raise Forbidden(f"this needs the role {needed.value}, and the key {key.name!r} has {key.role.value}")
        rate = self._settings.rate_per_s if key.rate_per_s is None else key.rate_per_s
        caller = Caller(key.key_id, key.name, key.role, rate)
        self.spend(caller, 1)
        return caller

    def spend(self, caller: Caller, requests: int) -> None:
        """Count so many requests against a key's rate (a bucket of one second's worth). Raises RateLimited."""
        rate = caller.rate_per_s
        if rate <= 0:
            return
        now = time.monotonic()
        most = max(rate, 1.0)
        bucket = self._buckets.setdefault(caller.key_id, _Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        # A batch larger than the bucket goes through when the bucket is full, and is paid off afterwards.
        needed = min(float(requests), most)
        if bucket.tokens < needed:
            wait = (needed - bucket.tokens) / rate
            raise RateLimited(f"key {caller.name!r} may ask {rate:g} times a second; try again in {wait:.1f} s", wait)
        bucket.tokens -= requests

    async def _key(self, token: str) -> ApiKey | None:
        key_id = key_id_of(token) if len(token) <= _LONGEST else ""
        if not key_id:
            return None
        seen, now = self._seen.get(key_id), time.monotonic()
        if seen is not None and now - seen.at < _FRESH_S:
            return seen.key
        try:
            found = await asyncio.to_thread(self._keys.find, key_id)
        except StoreError:
            if seen is not None and now - seen.at < _STALE_S:
                return seen.key
            raise
        self._seen[key_id] = _Seen(found, now)
        self._seen.move_to_end(key_id)
        while len(self._seen) > _MOST:
            gone, _ = self._seen.popitem(last=False)
            self._buckets.pop(gone, None)
        return found


def token_of(authorization: str, api_key: str) -> str:
    """The token of the headers `Authorization: Bearer ...` or `X-API-Key`; empty when there is none."""
    scheme, _, credentials = authorization.partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else api_key.strip()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
