"""Who may do what: API keys with roles, a rate limit per key, and an open mode for the operator's own machine."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass

from zhentu.errors import Forbidden, RateLimited, StoreError, Unauthenticated
from zhentu.record.keys import ApiKey, KeyStore, key_id_of
from zhentu.settings import Settings
from zhentu.types import DEFAULT_TENANT, Role

_FRESH_S = 5.0  # seconds within which a revoked key is refused
_STALE_S = 3600.0  # while the store is down, a key seen within this many seconds is still accepted
_MOST = 10_000  # keys remembered
_LONGEST = 200  # characters of a token worth looking at
_WRONG = 20.0  # wrong keys that one address may send in a row; after that, one a second
_KEY_NEEDED = "an API key is needed: Authorization: Bearer zt_...; see `zhentu keys create`"
_KEY_UNKNOWN = "this API key is unknown or revoked; check it, or make one with `zhentu keys create`"
_PEERS = 4096  # addresses whose wrong keys are counted


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. key_id is empty in open mode.  tenant: whose rows are written."""

    key_id: str
    name: str
    role: Role
    rate_per_s: float
    tenant: str = DEFAULT_TENANT

    @property
    def sees(self) -> str | None:
        """Whose rows may be read: the tenant's own; None = everybody's, for reviewers and administrators."""
        return None if self.role.includes(Role.REVIEW) else self.tenant


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
        self._wrong: OrderedDict[str, _Bucket] = OrderedDict()
        self._existing, self._listed_at = frozenset[str](), -math.inf
        self._listing = asyncio.Lock()

    async def admit(self, token: str, needed: Role, peer: str = "") -> Caller:
        """The caller behind a token. peer: the address it came from.

        Raises Unauthenticated, Forbidden, RateLimited; StoreError for unseen keys.
        """
        if self._settings.gate.open:
            return Caller("", "open", Role.ADMIN, 0.0)
        if not token:  # not a guess: it costs nothing, so the answer stays the same however often it comes
            raise Unauthenticated(_KEY_NEEDED)
        noisy = peer in self._wrong and self._tokens(self._wrong, peer, _WRONG, 1.0).tokens < 1.0
        # Behind a reverse proxy everybody shares one address, so no address is locked out. Once many wrong keys came
        # from one, its unknown keys are refused by a list that is read once a second, which spares the store.
        key = None if noisy and not await self._exists(key_id_of(token)) else await self._key(token)
        if key is None or not key.opens_with(token):
            self._count_wrong(peer)
            if noisy:
                raise RateLimited("too many wrong keys came from this address; try again with a valid key", 1.0)
            raise Unauthenticated(_KEY_UNKNOWN)
        if not key.role.includes(needed):
            raise Forbidden(f"this needs the role {needed.value}, and the key {key.name!r} has {key.role.value}")
        if self._settings.gate.single_tenant and key.tenant != DEFAULT_TENANT:
            raise Forbidden(
                f"the key {key.name!r} belongs to the tenant {key.tenant}, and this gate serves a single tenant"
            )
        rate = self._settings.gate.rate_per_s if key.rate_per_s is None else key.rate_per_s
        caller = Caller(key.key_id, key.name, key.role, rate, key.tenant)
        self.spend(caller, 1)
        return caller

    def spend(self, caller: Caller, requests: int, paid: int = 0) -> None:
        """Count requests against a key's rate (a bucket that holds one second's worth). Raises RateLimited.

        paid: what this request has already spent, before its pictures were counted.
        """
        rate = caller.rate_per_s
        if rate <= 0:
            return
        most = max(rate, 1.0)
        bucket = self._tokens(self._buckets, caller.key_id, most, rate)
        # A batch larger than the bucket passes when the bucket is full, and is paid off afterwards.
        needed = min(float(requests + paid), most) - paid
        if bucket.tokens < needed:
            wait = (needed - bucket.tokens) / rate
            raise RateLimited(f"key {caller.name!r} may send {rate:g} requests a second; wait {wait:.1f} s", wait)
        bucket.tokens -= requests

    @staticmethod
    def _tokens(buckets: MutableMapping[str, _Bucket], name: str, most: float, rate: float) -> _Bucket:
        """The bucket of a name, refilled up to now."""
        now = time.monotonic()
        bucket = buckets.setdefault(name, _Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        return bucket

    def _count_wrong(self, peer: str) -> None:
        bucket = self._tokens(self._wrong, peer, _WRONG, 1.0)
        bucket.tokens = max(bucket.tokens - 1.0, 0.0)
        self._wrong.move_to_end(peer)
        while len(self._wrong) > _PEERS:
            self._wrong.popitem(last=False)

    async def _exists(self, key_id: str) -> bool:
        async with self._listing:
            if time.monotonic() - self._listed_at > 1.0:
                keys = await asyncio.to_thread(self._keys.list)
                self._existing, self._listed_at = frozenset(each.key_id for each in keys), time.monotonic()
        return key_id in self._existing

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
        if found is None and seen is None:
            return None  # made-up keys must not evict those that are still accepted while the store is down
        self._seen[key_id] = _Seen(found, now)
        self._seen.move_to_end(key_id)
        while len(self._seen) > _MOST:
            gone, _ = self._seen.popitem(last=False)
            self._buckets.pop(gone, None)
        return found


def token_of(authorization: str, api_key: str) -> str:
    """The token in `Authorization: Bearer ...` or `X-API-Key`; empty if there is none."""
    scheme, _, credentials = authorization.partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else api_key.strip()


def is_loopback(host: str) -> bool:
    """Whether a listening address can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
