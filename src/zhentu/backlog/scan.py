"""Scan pictures that are already there: every picture gets exactly one row, whatever happens to it."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from zhentu.backlog.checkpoint import Checkpoint
from zhentu.backlog.engine_local import in_order
from zhentu.backlog.outputs import check_output, write_rows
from zhentu.backlog.rows import ScanRow, row_of_error, row_of_record
from zhentu.backlog.sources import find_pictures
from zhentu.bootstrap import Screener, build_screener, build_store
from zhentu.errors import ZhentuError
from zhentu.intake.decode import read_file
from zhentu.record.store import RecordStore
from zhentu.settings import Settings
from zhentu.types import LABELS, Action, Listing, Record

WORST_KEPT = 48  # pictures a report shows; bounds memory
_STORE_BATCH = 64
_BINS = 20  # of the score histograms


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


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What a scan found. by_label counts reasons that ask for an action; histograms hold 20 equal bins from 0 to 1.

    resumed: rows taken over from an earlier, interrupted run.  worst: gravest action first, then the highest score.
    """

    pictures: int
    resumed: int
    by_action: dict[str, int]
    by_label: dict[str, int]
    by_error: dict[str, int]
    histograms: dict[str, tuple[int, ...]]
    worst: tuple[ScanRow, ...]
    unreadable: tuple[ScanRow, ...]
    model: str
    policy_version: str
    mode: str
    started_at: datetime
    seconds: float

    @property
    def pictures_per_second(self) -> float:
        """Pictures screened in this run a second, wall clock."""
        return (self.pictures - self.resumed) / max(self.seconds, 1e-9)


def run_scan(
    job: ScanJob,
    settings: Settings,
    on_row: Callable[[ScanProgress], None] | None = None,
    screener: Screener | None = None,
) -> ScanSummary:
    """Scan, write rows and records, and sum up. `on_row` is called for each row in order, resumed ones too.

    Raises UsageError before any work when a source matches nothing or the output cannot be written.
    """
    if job.output:
        check_output(job.output)
    paths = find_pictures(job.sources)[: job.limit]
    screener = screener or build_screener(settings)
    store = build_store(settings) if job.store else None
    tally = _Tally(screener, len(paths))
    try:
        if job.output is None:
            for row in _screen_all(paths, job, settings, screener, store):
                tally.add(row, on_row)
            return tally.summary()
        with Checkpoint(job.output, tally.versions, job.resume) as checkpoint:
            wanted = {str(path) for path in paths}
            done = set()
            for row in checkpoint.rows():
                if row.path in wanted:
                    done.add(row.path)
                    tally.add(row, on_row, resumed=True)
            waiting = [path for path in paths if str(path) not in done]
            for row in _screen_all(waiting, job, settings, screener, store):
                checkpoint.add(row)
                tally.add(row, on_row)
            checkpoint.flush()
            write_rows((row for row in checkpoint.rows() if row.path in wanted), job.output)
            checkpoint.remove()
        return tally.summary()
    finally:
        if store:
            store.close()


def _screen_all(
    paths: list[Path], job: ScanJob, settings: Settings, screener: Screener, store: RecordStore | None
) -> Iterator[ScanRow]:
    listing = Listing(goods=job.goods)
    batch: list[Record] = []

    def work(path: Path) -> tuple[ScanRow, Record | None]:
        try:
            record = screener.screen(read_file(path, screener.limits), str(path), listing)
        except ZhentuError as error:
            return row_of_error(path, error), None
        except Exception as error:  # one picture must never end a night's scan; the row says what happened
            return row_of_error(path, error), None
        return row_of_record(record), record

    try:
        for row, record in in_order(work, paths, job.workers or settings.worker_count):
            if store and record:
                batch.append(record)
                if len(batch) >= _STORE_BATCH:
                    store.append_many(batch)
                    batch.clear()
            yield row
    finally:
        if store:
            store.append_many(batch)


class _Tally:
    """Counts while rows go by; memory does not grow with the backlog."""

    def __init__(self, screener: Screener, total: int) -> None:
        policy = screener.policy
        self._model = str(screener.detector.entry.ref)
        self._policy_version, self._mode = policy.version, policy.mode.value
        self.versions = f"{self._model} {screener.detector.entry.sha256} {policy.sha256}"
        self._total, self._done, self._resumed = total, 0, 0
        self._actions: Counter[str] = Counter({action.value: 0 for action in Action})
        self._labels: Counter[str] = Counter({label.value: 0 for label in LABELS})
        self._errors: Counter[str] = Counter()
        self._histograms = {name: [0] * _BINS for name in (*(label.value for label in LABELS), "forged")}
        self._worst: list[tuple[tuple[int, float, int], ScanRow]] = []
        self._unreadable: list[ScanRow] = []
        self._started_at, self._began = datetime.now(UTC), time.perf_counter()

    def add(self, row: ScanRow, on_row: Callable[[ScanProgress], None] | None, resumed: bool = False) -> None:
        self._done += 1
        self._resumed += resumed
        if row.error:
            self._errors[row.error] += 1
            if len(self._unreadable) < 500:
                self._unreadable.append(row)
        else:
            self._count(row)
        if on_row:
            on_row(ScanProgress(self._done, self._total, row))

    def _count(self, row: ScanRow) -> None:
        self._actions[row.action] += 1
        for code in set(row.reasons.split(";")):
            label = code.removeprefix("score_")
            if label in self._labels:
                self._labels[label] += 1
            elif code.startswith(("provenance_", "declaration_")):
                self._labels["ai_generated"] += "score_ai_generated" not in row.reasons
        for name, bins in self._histograms.items():
            score = getattr(row, name)
            if score is not None:
                bins[min(int(score * _BINS), _BINS - 1)] += 1
        rank = (Action(row.action).severity, row.forged or 0.0, -self._done)
        heapq.heappush(self._worst, (rank, row))
        if len(self._worst) > WORST_KEPT:
            heapq.heappop(self._worst)

    def summary(self) -> ScanSummary:
        return ScanSummary(
            pictures=self._done,
            resumed=self._resumed,
            by_action=dict(self._actions),
            by_label=dict(self._labels),
            by_error=dict(self._errors),
            histograms={name: tuple(bins) for name, bins in self._histograms.items()},
            worst=tuple(row for _, row in sorted(self._worst, key=lambda each: each[0], reverse=True)),
            unreadable=tuple(self._unreadable),
            model=self._model,
            policy_version=self._policy_version,
            mode=self._mode,
            started_at=self._started_at,
            seconds=time.perf_counter() - self._began,
        )
