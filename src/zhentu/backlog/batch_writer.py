"""Finished pictures, kept in batches: first the records, then their rows, so that no row lacks its record."""

from __future__ import annotations

import time

from zhentu.backlog.ledger import Ledger
from zhentu.backlog.picture import PictureOutcome
from zhentu.backlog.rows import ScanRow
from zhentu.errors import StoreError
from zhentu.record.known import KnownStore, ScannedRecord
from zhentu.stopping import uninterrupted

_BATCH = 64  # pictures kept at once; at most this many are repeated after kill -9
_LONGEST_S = 2.0  # seconds before a smaller batch is kept, so that slow models lose as little
_DOUBLES_S = 0.2  # seconds before it is kept if the same bytes are waiting for it


class BatchWriter:
    """Collects outcomes and writes them to disk. After a kill between records and rows, the pictures are known."""

    def __init__(self, store: KnownStore | None, ledger: Ledger) -> None:
        self._store, self._ledger = store, ledger
        self._scanned: list[ScannedRecord] = []
        self._rows: list[tuple[int, ScanRow]] = []
        self._flushed = time.monotonic()

    def keep(self, outcome: PictureOutcome) -> None:
        """Keep one picture, at the latest when its batch is full."""
        if outcome.row:
            self._rows.append((outcome.seq, outcome.row))
            if outcome.scanned and self._store:
                self._scanned.append(outcome.scanned)
        wait = time.monotonic() - self._flushed
        if len(self._rows) >= _BATCH or wait > (_LONGEST_S if outcome.row else _DOUBLES_S):
            self.flush()

    def flush(self) -> None:
        """Write everything to disk."""
        self._flushed = time.monotonic()
        if not self._rows:
            return
        if self._store:
            self._store.database.patiently(self._write)  # waiting may be interrupted, writing may not
        else:
            self._write()

    def _write(self) -> None:
        with uninterrupted():  # between records and rows an end would make the two disagree
            if self._store:
                self._store.keep(self._scanned)
            self._scanned.clear()
            self._ledger.add(self._rows)
            self._rows.clear()

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or not issubclass(kind, StoreError):  # a store that has just failed would fail again
            self.flush()
