"""The store as the gate sees it: when it is down, decisions wait in the spool, and are written when it is back."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from zhentu.errors import IdempotencyConflict, StoreError
from zhentu.record.spool import Spool
from zhentu.record.store import Claim, Kept, RecordStore
from zhentu.types import Record, Verdict

_PAUSE_S = 1.0  # after a failure the store is left alone so long: no request waits for a dead database twice
_MOST = 50_000  # claims of spooled decisions that are remembered


class Keeper:
    """Writes each decision once, in the store or in the spool; may be used from several threads."""

    def __init__(self, store: RecordStore, spool: Spool) -> None:
        self.store, self.spool = store, spool
        self._down_until = 0.0
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, tuple[str, Record]] = OrderedDict()

    @property
    def store_is_down(self) -> bool:
        """Whether the store failed a moment ago."""
        return time.monotonic() < self._down_until

    def answered(self, claims: Sequence[Claim]) -> Record | None:
        """The record that answered this request before, None while the store cannot say. Raises IdempotencyConflict."""
        waiting = self._spooled(claims)
        if waiting is not None or self.store_is_down:
            return waiting
        try:
            return self.store.answered(claims)
        except StoreError:
            self._mark_down()
            return None

    def verdict_for(self, sha256: str, model_sha256: str) -> tuple[str, Verdict] | None:
        """What was said of the same bytes before (KnownPort), None while the store cannot say."""
        if self.store_is_down:
            return None
        try:
            return self.store.verdict_for(sha256, model_sha256)
        except StoreError:
            self._mark_down()
            return None

    def keep(self, kept: Kept) -> Record:
        """Write a decision before it is answered; the record that answers. Raises StoreError only without a spool."""
        if not self.store_is_down:
            try:
                return self.store.keep(kept)
            except StoreError:
                self._mark_down()
        self.spool.put(kept)
        with self._lock:
            for claim in kept.claims:
                self._waiting[claim.claim] = (claim.request_sha256, kept.record)
            while len(self._waiting) > _MOST:
                self._waiting.popitem(last=False)
        return kept.record

    def replay(self) -> int:
        """Write what waits in the spool; how many. Raises StoreError while the store is down."""
        self.store.check()
        done = self.spool.replay(self.store)
        if not self.spool.waiting():
            with self._lock:
                self._waiting.clear()
        self._down_until = 0.0
        return done

    def _spooled(self, claims: Sequence[Claim]) -> Record | None:
        with self._lock:
            found = [(each, self._waiting[each.claim]) for each in claims if each.claim in self._waiting]
        for claim, (asked, _) in found:
            if asked != claim.request_sha256:
                raise IdempotencyConflict("this Idempotency-Key was used for another request; use a new key")
        return found[0][1][1] if found else None

    def _mark_down(self) -> None:
        self._down_until = time.monotonic() + _PAUSE_S
