"""The store as the gate sees it: while it is down, decisions wait in the spool and are written when it is back."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from zhentu.errors import IdempotencyConflict, StoreError
from zhentu.record.spool import Spool
from zhentu.record.store import Claim, RecordStore, RecordWrite
from zhentu.types import Record, Verdict

_PAUSE_S = 1.0  # seconds the store is left alone after a failure, so that no request waits for a dead database twice
_CLAIMS_REMEMBERED = 50_000  # of spooled decisions


class SpooledStore:
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
        """The record that answered this request before, None if none did or the store is down. The first claim wins.

        Raises IdempotencyConflict.
        """
        place, waiting = self._spooled(claims)
        stronger = claims[:place]
        if self.store_is_down or not stronger:
            return waiting
        try:
            return self.store.answered(stronger) or waiting
        except StoreError:
            self._mark_down()
            return waiting

    def verdict_for(self, sha256: str, model_sha256: str, tenant: str) -> tuple[str, Verdict] | None:
        """An earlier verdict of this model on the same bytes; see RecordStore. None while the store is down."""
        if self.store_is_down:
            return None
        try:
            return self.store.verdict_for(sha256, model_sha256, tenant)
        except StoreError:
            self._mark_down()
            return None

    def keep(self, write: RecordWrite) -> Record:
        """Write a decision; returns the record to answer with. Raises StoreError only where there is no spool."""
        if not self.store_is_down:
            try:
                return self.store.keep(write)
            except StoreError:
                self._mark_down()
        self.spool.put(write)
        with self._lock:
            for claim in write.claims:
                self._waiting[claim.claim] = (claim.request_sha256, write.record)
            while len(self._waiting) > _CLAIMS_REMEMBERED:
                self._waiting.popitem(last=False)
        return write.record

    def replay(self) -> int:
        """Write what is waiting in the spool; returns how many. Raises StoreError while the store is down."""
        self.store.check()
        done = self.spool.replay(self.store)
        if not self.spool.waiting():
            with self._lock:
                self._waiting.clear()
        self._down_until = 0.0
        return done

    def _spooled(self, claims: Sequence[Claim]) -> tuple[int, Record | None]:
        """Index of the first claim that is in the spool, and its record; the number of claims and None if none is."""
        with self._lock:
            asked_for = [(place, self._waiting.get(each.claim)) for place, each in enumerate(claims)]
        found = [(place, waiting) for place, waiting in asked_for if waiting is not None]
        for place, (asked, _) in found:
            if asked != claims[place].request_sha256:
                raise IdempotencyConflict("this Idempotency-Key was used for another request; use a new key")
        return (found[0][0], found[0][1][1]) if found else (len(claims), None)

    def _mark_down(self) -> None:
        self._down_until = time.monotonic() + _PAUSE_S
