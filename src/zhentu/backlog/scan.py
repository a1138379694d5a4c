"""Scan pictures that are already there: every picture gets exactly one row, whatever happens to it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from zhentu.backlog.checkpoint import Checkpoint
from zhentu.backlog.engine_local import in_order
from zhentu.backlog.outputs import check_output, write_rows
from zhentu.backlog.rows import ScanRow, plain, row_of_crash, row_of_error, row_of_record
from zhentu.backlog.sources import find_pictures
from zhentu.backlog.summary import ScanSummary, Tally
from zhentu.bootstrap import Screener, build_screener, build_store
from zhentu.errors import StoreError, ZhentuError
from zhentu.intake.decode import read_file
from zhentu.record.store import RecordStore
from zhentu.settings import Settings
from zhentu.types import Listing, Record

__all__ = ["ScanJob", "ScanProgress", "ScanSummary", "run_scan"]

_BATCH = 64  # pictures kept at once; at most so many are screened again after kill -9

Outcome = tuple[ScanRow, Record | None]


@dataclass(frozen=True, slots=True)
class ScanJob:
    """What to scan and where rows go. workers: 0 = one per core. goods: goods category of all pictures."""

    sources: tuple[str, ...]
    output: Path | None = None
    workers: int = 0
    resume: bool = True
    goods: str = ""
    store: bool = True
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """How far a scan is."""

    done: int
    total: int
    row: ScanRow


def run_scan(job: ScanJob, settings: Settings, on_row: Callable[[ScanProgress], None] | None = None) -> ScanSummary:
    """Scan, write rows and records, and sum up. `on_row` is called for each row in order, resumed ones first.

    Works in processes of its own: a script that calls it needs `if __name__ == "__main__":`.
    Raises UsageError before any work when a source matches nothing or the output cannot be written.
    """
    if job.output:
        check_output(job.output)
    paths = find_pictures(job.sources)[: job.limit]
    screener = build_screener(settings, golden=True)  # raises here, not in a worker, when model or policy are unusable
    tally = Tally(screener, job.goods)

    def count(row: ScanRow, resumed: bool = False) -> None:
        tally.add(row, resumed)
        if on_row:
            on_row(ScanProgress(tally.done, len(paths), row))

    with ExitStack() as stack:
        checkpoint = None
        if job.output:
            checkpoint = stack.enter_context(Checkpoint(job.output, _versions(screener, job.goods), job.resume))
            for row in checkpoint.rows(map(plain, paths)):
                count(row, resumed=True)
        waiting = [path for path in paths if checkpoint is None or plain(path) not in checkpoint]
        if waiting:
            workers = min(job.workers or settings.worker_count, len(waiting))
            build = partial(_build_work, settings, Listing(goods=job.goods))
            store = stack.enter_context(closing(build_store(settings))) if job.store else None
            keeper = stack.enter_context(_Keeper(store, checkpoint))
            outcomes = in_order(build, waiting, workers, lambda path: (row_of_crash(path), None))
            stack.enter_context(closing(outcomes))
            for row, record in outcomes:
                keeper.keep(row, record)
                count(row)
            keeper.flush()
        if job.output and checkpoint:
            write_rows(checkpoint.rows(map(plain, paths)), job.output)
            checkpoint.remove()
    return tally.summary()


def _versions(screener: Screener, goods: str) -> str:
    """What the rows of a scan depend on besides the pictures."""
    entry = screener.detector.entry
    return f"{entry.ref} {entry.sha256} policy {screener.policy.sha256} goods {goods!r} {screener.limits}"


def _build_work(settings: Settings, listing: Listing) -> Callable[[str], Outcome]:
    """What a worker process does with one path."""
    screener = build_screener(settings)

    def work(path: str) -> Outcome:
        try:
            record = screener.screen(read_file(Path(path), screener.limits), plain(path), listing)
        except ZhentuError as error:
            return row_of_error(path, error), None
        except Exception as error:  # one picture must never end a night's scan; the row says what happened
            return row_of_error(path, error), None
        return row_of_record(record), record

    return work


class _Keeper:
    """Keeps finished pictures in batches: first the records, then their rows, so that no row lacks its record."""

    def __init__(self, store: RecordStore | None, checkpoint: Checkpoint | None) -> None:
        self._store, self._checkpoint = store, checkpoint
        self._records: list[Record] = []
        self._rows: list[ScanRow] = []

    def keep(self, row: ScanRow, record: Record | None) -> None:
        """Keep one picture, at the latest with the batch it completes."""
        self._rows.append(row)
        if record:
            self._records.append(record)
        if len(self._rows) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Bring everything to the disk."""
        with _uninterrupted():
            if self._store:
                self._store.append_many(self._records)
            self._records.clear()
            if self._checkpoint:
                self._checkpoint.add(self._rows)
            self._rows.clear()

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or not issubclass(kind, StoreError):  # a store that just failed would fail again
            self.flush()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the end of the block; between records and rows it would leave the two at odds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt
