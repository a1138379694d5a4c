"""Scan existing pictures: every picture gets exactly one row, whatever happens to it."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from zhentu.backlog.batch_writer import BatchWriter
from zhentu.backlog.engine_local import ProcessPool, prepare_workers, release_workers
from zhentu.backlog.finding import access_of, finding_of
from zhentu.backlog.groups import Grouper
from zhentu.backlog.handful import FEW, is_handful
from zhentu.backlog.items import Numbered
from zhentu.backlog.known import Claims
from zhentu.backlog.ledger import Ledger, OnEntry, Shard
from zhentu.backlog.manifests import OnSheet
from zhentu.backlog.outputs import check_output, is_folder, skipped_path, write_rows, write_skipped
from zhentu.backlog.picture import PictureOutcome, WorkSpec, build_look_up, build_work, crashed
from zhentu.backlog.reading import is_url
from zhentu.backlog.rows import ScanRow
from zhentu.backlog.scan_job import JobLock, JobPlace, OutputClaim, ScanJob, new_place
from zhentu.backlog.sources import find_items
from zhentu.backlog.summary import ScanRules, ScanSummary, Tally
from zhentu.banks.bank import Banks
from zhentu.bootstrap.models import accepted_models
from zhentu.bootstrap.screener import check_rules
from zhentu.bootstrap.stores import build_banks, build_store, with_chosen_model
from zhentu.errors import DependencyError, UsageError, ZhentuError
from zhentu.filenames import name_to_text
from zhentu.intake.skipped import SkipReason
from zhentu.record.applied import AppliedTable
from zhentu.record.known import KnownStore
from zhentu.record.scan_jobs import JobCounts, JobRecord, JobState, JobTable
from zhentu.record.store import RecordStore
from zhentu.settings import Settings
from zhentu.stopping import STOPS
from zhentu.types import CATEGORIES

__all__ = ["ScanJob", "ScanProgress", "ScanSummary", "Shard", "Watch", "resume_scan", "run_scan"]

_CHUNK = 8  # pictures of one call of a worker
_REPORT_S = 2.0  # seconds between two updates of the job table
_QUIET_S = 1.0  # seconds between two checks of the machine's load
OnRow = Callable[["ScanProgress"], None]


@dataclass(frozen=True, slots=True)
class ScanProgress:
    """How far a scan has got. resumed: the row comes from an earlier run."""

    done: int
    total: int
    row: ScanRow
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks that follow a scan.

    on_row: for each row, resumed ones first.  on_listing: for each entry listed, with how many were found and skipped.
    on_sheet: how a sheet is read, before its rows.
    """

    on_row: OnRow | None = None
    on_listing: OnEntry | None = None
    on_sheet: OnSheet | None = None


def run_scan(job: ScanJob, settings: Settings, on_row: OnRow | None = None, watch: Watch | None = None) -> ScanSummary:
    """Scan, write rows and records, and summarise. on_row: shorthand for a watch that only follows rows.

    It starts processes, so a script that calls it needs `if __name__ == "__main__":`.
    Raises UsageError before any work if a source matches nothing or the output cannot be written.
    """
    if job.output:
        check_output(job.output, job.sources, job.overwrite)
    settings = with_chosen_model(settings, required=job.store)
    rules = _checked(settings, job)
    with ExitStack() as stack:
        place, claim = _place(job, settings, _versions(rules, job), stack)
        return _Run(place, job, settings, rules, claim, watch or Watch(on_row), stack).finish(list_again=True)


def resume_scan(
    place: JobPlace, job: ScanJob, settings: Settings, on_row: OnRow | None = None, watch: Watch | None = None
) -> ScanSummary:
    """Finish a job as it was listed. job: its description, with the workers, engine and rate limits to use now.

    Raises UsageError if anything that decides has changed since, because its rows would not be comparable.
    """
    place.check_folder()
    settings = with_chosen_model(settings, required=job.store)
    rules = _checked(settings, job)
    if place.versions != _versions(rules, job):
        raise UsageError(
            f"{place.job_id} was begun with {place.versions}; now another model, comparison, policy, bank or "
            "trust list decides. Run the scan command again: pictures that need nothing new are taken over"
        )
    with ExitStack() as stack:
        claim = None
        if job.output:
            claim = OutputClaim(settings.jobs_folder, job.output)
            stack.callback(claim.close)
        return _Run(place, job, settings, rules, claim, watch or Watch(on_row), stack).finish(list_again=False)


def _place(job: ScanJob, settings: Settings, versions: str, stack: ExitStack) -> tuple[JobPlace, OutputClaim | None]:
    if job.output is None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zhentu-scan-")))
        return new_place(folder, job, versions), None
    claim = OutputClaim(settings.jobs_folder, job.output)
    stack.callback(claim.close)
    if unfinished := claim.unfinished():
        try:
            place = JobPlace.load(settings.jobs_folder / unfinished)
        except UsageError:
            place = None
        if place and job.resume and place.versions == versions and job.same_pictures(place.job):
            return replace(place, job=job), claim
    return new_place(settings.jobs_folder, job, versions), claim


def _checked(settings: Settings, job: ScanJob) -> ScanRules:
    """What decides, checked once here and not in every worker. Raises ModelError, ConfigError, StoreError."""
    if job.engine == "local" and not (job.store and is_handful(job.sources)):
        prepare_workers()
    screener = check_rules(settings)
    if job.store:
        with closing(build_store(settings)) as store:
            banks = _banks_with_entries(store)
        screener = replace(screener, bank=banks)
    limits = {each.value: screener.lowest_limit(each, job.goods) for each in CATEGORIES}
    asked = {name: limit for name, limit in limits.items() if limit is not None}
    return ScanRules(screener.detector.entry.ref, screener.policy, screener.digest(), asked, screener)


def _banks_with_entries(store: RecordStore) -> Banks | None:
    """The store's banks, or None if all of them are empty and no picture needs a lookup."""
    banks = build_banks(store)
    return banks if any(banks.state().entries.values()) else None


def _versions(rules: ScanRules, job: ScanJob) -> str:
    """What decides, in one line with the job's own options."""
    known = f" from {job.rescan_below}" if job.rescan_below else ""
    return f"{rules.model}{known} policy {rules.policy.version} goods {job.goods!r} rules {rules.digest}"


class _Run:
    """One run of a job, from the listing to the output files."""

    def __init__(  # noqa: PLR0913 - what bootstrap, job and claim gave, once
        self,
        place: JobPlace,
        job: ScanJob,
        settings: Settings,
        rules: ScanRules,
        claim: OutputClaim | None,
        watch: Watch,
        stack: ExitStack,
    ) -> None:
        self._place, self._job, self._settings, self._rules = place, job, settings, rules
        self._claim, self._watch, self._stack = claim, watch, stack
        lock = JobLock(place)
        stack.callback(lock.close)
        place.save()
        self._ledger: Ledger = stack.enter_context(closing(place.ledger()))
        self._store = stack.enter_context(closing(build_store(settings, patient=True))) if job.store else None
        kept = self._store is not None and job.output is not None
        self._table = JobTable(self._store.database) if self._store and kept else None
        self._tally = Tally(rules, job.goods)
        self._total, self._reported = 0, 0.0
        self._skipped: dict[SkipReason, int] = {}

    def finish(self, list_again: bool) -> ScanSummary:
        """Do what is left, write the output files, and summarise."""
        self._begin()
        try:
            if list_again or not self._ledger.listed:
                table = AppliedTable(self._store.database) if self._store else None
                finding = finding_of(self._job, self._settings, self._watch.on_sheet, table)
                found = find_items(self._job.sources, finding)
                self._ledger.list_items(found, self._job.shard, self._job.limit, self._watch.on_listing)
            if self._claim:
                self._claim.note(self._place.job_id)
            self._total, self._skipped = self._ledger.total, self._ledger.skip_counts()
            for _, row in self._ledger.rows():
                self._count(row, resumed=True)
            self._work()
            if self._job.output and is_folder(self._job.output):
                self._ledger.close_part()
            summary = self._summary()
            self._write_views()
            self._report(JobState.DONE)
        except STOPS:
            self._report(JobState.STOPPED)
            raise
        except Exception as error:
            self._report(JobState.FAILED, error)
            raise
        if self._claim:
            self._claim.note("")
        if self._table is None and self._job.output:
            self._place.remove()
        return summary

    def _begin(self) -> None:
        if self._store and self._table:
            place, rules, table = self._place, self._rules, self._table
            described = JobRecord(
                place.job_id,
                name_to_text(str(place.folder)),
                socket.gethostname(),
                tuple(map(name_to_text, self._job.sources)),
                str(rules.model),
                rules.policy.version,
                place.started_at,
            )
            self._store.database.patiently(lambda: table.begin(described))

    def _work(self) -> None:
        """Run passes over what is left.

        The first pass does nearly everything. Later ones do what was a duplicate of a picture in progress, or was on a
        node that died.
        """
        spec = self._spec()
        self._stack.callback(Claims.remove, self._place.claims)
        claims = self._stack.enter_context(closing(Claims(self._place.claims)))
        known = KnownStore(self._store.database) if self._store else None
        writer = self._stack.enter_context(BatchWriter(known, self._ledger))
        engine = self._engine(spec)
        self._look_up(spec, claims, writer)
        while left := self._ledger.left:
            claims.clear()
            with closing(engine(left)) as outcomes:
                for outcome in outcomes:
                    self._tally.byte_count += outcome.byte_count
                    writer.keep(outcome)
                    if outcome.row:
                        self._count(outcome.row)
            writer.flush()
            if self._ledger.left == left:
                raise DependencyError("no worker finished anything; check the cluster, then resume the job")

    def _look_up(self, spec: WorkSpec, claims: Claims, writer: BatchWriter) -> None:
        """Do in this process what of a handful of files is decided already; workers take longer to start than that."""
        screener = self._rules.screener
        if screener is None or self._job.engine != "local" or self._store is None or self._ledger.left > FEW:
            return
        few = list(self._ledger.to_do())
        if any(is_url(each.item.path) for each in few):
            return  # what is not known would be fetched twice
        work = build_look_up(spec, screener, KnownStore(self._store.database), claims)
        for outcome in work(few):
            self._tally.byte_count += outcome.byte_count
            writer.keep(outcome)
            if outcome.row:
                self._count(outcome.row)
        writer.flush()

    def _spec(self) -> WorkSpec:
        job = self._job
        workers = self.workers
        accepted = accepted_models(self._settings, job.rescan_below)
        pace = job.reads_per_second / max(workers, 1)
        banks = self._store is not None and _banks_with_entries(self._store) is not None
        return WorkSpec(
            self._settings,
            accepted,
            self._place.claims,
            job.store,
            banks,
            reads_per_second=pace,
            attempts=job.attempts,
            access=access_of(job, self._settings),
        )

    @property
    def workers(self) -> int:
        """Worker processes on this machine."""
        return min(self._job.workers or self._settings.worker_count, max(self._total, 1))

    def _engine(self, spec: WorkSpec) -> Callable[[int], Generator[PictureOutcome, None, None]]:
        if self._job.engine == "ray":
            from zhentu.backlog.engine_ray import over_cluster

            return lambda _: over_cluster(spec, self._to_do(), self._job.ray_address, self._job.workers)
        pools: list[ProcessPool[Numbered, PictureOutcome]] = []

        def local(left: int) -> Generator[PictureOutcome, None, None]:
            if not pools:  # started when there is work, and kept for later passes
                self._stack.callback(release_workers)
                pools.append(ProcessPool(partial(build_work, spec), self.workers, crashed))
                self._stack.callback(pools[0].close)
            size = min(max(left // (self.workers * 8), 1), _CHUNK)
            return pools[0].outcomes(_chunks(self._to_do(), size))

        return local

    def _to_do(self) -> Iterator[Numbered]:
        return _calm(self._ledger.to_do(), self._job.max_load)

    def _count(self, row: ScanRow, resumed: bool = False) -> None:
        self._tally.add(row, resumed)
        if self._watch.on_row:
            self._watch.on_row(ScanProgress(self._tally.done, self._total, row, resumed))
        if time.monotonic() - self._reported > _REPORT_S:
            self._report(JobState.RUNNING)

    def _report(self, state: JobState, error: Exception | None = None) -> None:
        self._reported = time.monotonic()
        if self._store is None or self._table is None:
            return
        words = f"{error.code}: {error}" if isinstance(error, ZhentuError) else repr(error) if error else ""
        report = partial(self._table.report, self._place.job_id, state, self._job_counts(), words[:500])
        if error is None and state is not JobState.STOPPED:
            self._store.database.patiently(report)
            return
        with suppress(ZhentuError):  # an error, or an end, is being raised: nothing waits for a store that is away
            report()

    def _job_counts(self) -> JobCounts:
        tally = self._tally
        skipped = {reason.value: count for reason, count in self._skipped.items()}
        return JobCounts(self._total, tally.done, tally.counts(), skipped, tally.reasons())

    def _summary(self) -> ScanSummary:
        grouper = Grouper()
        for seq, row in self._ledger.rows():
            grouper.add(seq, row)
        return replace(
            self._tally.summary(),
            by_goods=self._ledger.breakdown("goods"),
            by_seller=self._ledger.breakdown("seller"),
            groups=grouper.groups(),
            job_id=self._place.job_id if self._table else "",
            engine=self._job.engine,
            workers=self.workers,
            skipped=self._skipped,
        )

    def _write_views(self) -> None:
        output = self._job.output
        if output is None:
            return
        for path in (output / "rows.csv", output / "rows.jsonl") if is_folder(output) else (output,):
            write_rows((row for _, row in self._ledger.rows()), path)
        quarantine = (output if is_folder(output) else self._place.folder) / "quarantine.csv"
        write_rows((row for _, row in self._ledger.rows() if row.error), quarantine)
        skipped = skipped_path(output)
        if self._skipped or is_folder(output):
            write_skipped(self._ledger.skipped(), self._job.sources, skipped)
        else:
            skipped.unlink(missing_ok=True)


def _chunks(items: Iterable[Numbered], size: int) -> Iterator[list[Numbered]]:
    pending = iter(items)
    while chunk := list(islice(pending, size)):
        yield chunk


def _calm(items: Iterator[Numbered], max_load: float) -> Iterator[Numbered]:
    """The items, held back while the one-minute load average exceeds `max_load` (0 = no limit)."""
    looked = 0.0
    for item in items:
        while max_load and time.monotonic() - looked > _QUIET_S:
            looked = time.monotonic()
            if os.getloadavg()[0] > max_load:
                time.sleep(_QUIET_S + 0.1)
        yield item
